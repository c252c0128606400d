import { expect, test } from 'vitest';
import { createBusChanges } from '../src/cluster/local-bus/bus-changes.ts';

test('the primary process keeps a bounded number of changes, and says since when they are all', () => {
  let now = Date.now();
  const changes = createBusChanges({ memoryMs: 86_400_000, maxEntries: 1_000, now: () => now });
  const { bornAt } = changes.past();
  changes.append({ kind: 'remove-members', groupId: 'g', userIds: ['alice'] });
  const droppedUpTo = Math.floor(now / 1_000);
  now += 5_000;
  const userIds = Array.from({ length: 100 }, (_, n) => `u${n}`);
  for (let n = 0; n < 30; n += 1) changes.append({ kind: 'remove-members', groupId: `g${n}`, userIds });
  const past = changes.past();
  expect(past.changes.length).toBeLessThan(11);
  expect(past.changes.at(-1)?.change).toMatchObject({ groupId: 'g29' });
  expect(past.bornAt).toBeGreaterThan(droppedUpTo);
  expect(past.bornAt).toBeGreaterThan(bornAt);
});

test('a clock that is set ahead drops no change, and one that is set back keeps none longer', () => {
  let [now, monotonic] = [Date.now(), 0];
  const changes = createBusChanges({ memoryMs: 60_000, maxEntries: 1_000, now: () => now, monotonic: () => monotonic });
  const append = (groupId: string) => changes.append({ kind: 'remove-everyone', groupId });
  append('first');
  now += 86_400_000;
  append('ahead');
  expect(changes.past().changes).toHaveLength(2);
  now -= 2 * 86_400_000;
  monotonic += 61_000;
  append('back');
  expect(changes.past().changes.map(({ change }) => change)).toEqual([{ kind: 'remove-everyone', groupId: 'back' }]);
});
