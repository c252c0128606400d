import { expect, test } from 'vitest';
import { createLiveGroups, type LiveGroupsDeps } from '../src/connection/live-groups.ts';
import { manualClock } from './manual-clock.ts';

const position = { epoch: '1-a', seq: 4 };

function setUp(answer: (groupId: string) => string | undefined) {
  const clock = manualClock();
  const askedAt: number[] = [];
  let listReadings = 0;
  const link = {};
  const deps = {
    delivery: { positions: () => ({ g: position }), page: () => undefined },
    status: { link },
    questions: {
      limit: 100,
      async join(_: unknown, groups: ReadonlyMap<string, unknown>) {
        askedAt.push(clock.now());
        return new Map(
          [...groups.keys()].map((id) => {
            const code = answer(id);
            return [id, code ? { kind: 'refused', code } : { kind: 'stands', position, more: false }];
          }),
        );
      },
    },
    catchUp: { check: () => undefined, force: () => undefined },
    mayJoin: () => true,
    onHead: () => undefined,
    onUnclear: () => (listReadings += 1),
    clock,
    random: () => 1,
    log: { warn: () => undefined, debug: () => undefined },
  } as unknown as LiveGroupsDeps;
  return { clock, askedAt, listReadings: () => listReadings, groups: createLiveGroups(deps) };
}

test('groups about which nobody could be asked are asked for within seconds, then ever later, and the list is read once they are live', async () => {
  let isBack = false;
  const { clock, askedAt, listReadings, groups } = setUp(() => (isBack ? undefined : 'API_UNAVAILABLE'));
  groups.refuse('g', 'API_UNAVAILABLE');
  await clock.advance(100_000);
  expect(askedAt).toEqual([2_000, 6_000, 14_000, 30_000, 60_000, 90_000]);
  expect(listReadings()).toBe(0);
  isBack = true;
  await clock.advance(100_000);
  expect([askedAt.length, listReadings(), clock.timers]).toEqual([7, 1, 0]);
});

test('a group that the user is not in is asked for once in 30 s, and no more after the end', async () => {
  const { clock, askedAt, groups } = setUp(() => 'NOT_A_MEMBER');
  groups.refuse('g', 'NOT_A_MEMBER');
  await clock.advance(59_000);
  expect(askedAt).toEqual([30_000]);
  groups.refuse('h', 'API_UNAVAILABLE');
  groups.stop();
  expect(clock.timers).toBe(0);
});
