import { expect, test } from 'vitest';
import type { MinuteSample } from '../growth/held-snapshot.ts';
import { EVENT_EVERY, layOut, OWN_GROUPS, readSizes, UNREAD } from '../growth/size.ts';
import type { SizeSample } from '../growth/sizes.ts';
import { growthOf, heldRatios } from '../growth/tables.ts';

test('a size is a number of messages with shapes of its own, or all three numbers', () => {
  expect(readSizes('10000,2000000,1000000/1/50000')).toEqual({
    smallest: { messages: 10_000, groups: 1_000, members: 10 },
    others: [
      { messages: 2_000_000, groups: 1_000, members: 10 },
      { messages: 1_000_000, groups: 1, members: 50_000 },
    ],
  });
  expect(readSizes('10000,1000000')?.others.length).toBeGreaterThan(1);
});

test.each(['', 'many', '10000,', '10000/0/1', '10000/1', '10000,1.5', '999'])('"%s" is no list of sizes', (text) => {
  expect(readSizes(text)).toBeUndefined();
});

test.each([
  [10_000, 1_000, 10],
  [1_000_000, 1, 10],
  [1_000_000, 100_000, 10],
  [10_000_000, 1_000, 50_000],
])('%d messages over %d groups, %d members', (messages, groups, members) => {
  const { firstHead, otherHead, named, users, unreadPositions } = layOut({ messages, groups, members });
  const positions = firstHead + otherHead * (groups - 1);
  const share = (positions * (EVENT_EVERY - 1)) / EVENT_EVERY / messages;
  // Every group has as many as the others, but the first, which has at least a page.
  expect(share).toBeGreaterThan(0.9);
  expect(share).toBeLessThan(1.001);
  expect(firstHead).toBeGreaterThanOrEqual(1_000);
  expect(named).toBeGreaterThanOrEqual(OWN_GROUPS);
  expect(users).toBeGreaterThanOrEqual(members);
  expect(unreadPositions * Math.min(groups, OWN_GROUPS)).toBeGreaterThanOrEqual(UNREAD);
});

test('a route has grown by the median of the ratios within each round', () => {
  const [small, large] = ['small', 'large'];
  const sample = (size: string, round: number, values: number[]): SizeSample => ({
    size,
    beside: size === small ? large : small,
    what: 'GET group',
    round,
    values,
  });
  // The machine was ten times slower in the second round: for both.
  const rounds = [
    [1, 2],
    [10, 20],
    [2, 3],
  ].flatMap(([one = 0, two = 0], round) => [sample(small, round, [one, one, 99]), sample(large, round, [two, two, 0])]);
  expect(growthOf(rounds, small).find(({ what }) => what === 'GET group')).toMatchObject({ size: large, ratio: 2 });
});

test('the last minute in which a snapshot was held stands beside the last one before it, and both beside what took turns with them', () => {
  const minute = (phase: MinuteSample['phase'], messagesPerSecond: number, p99Ms: number, slowness: number) =>
    ({
      holder: 'snapshot',
      phase,
      messagesPerSecond,
      p99Ms,
      beside: { messagesPerSecond: 100 / slowness, p99Ms: 10 * slowness },
    }) as MinuteSample;
  const samples = [
    minute('before', 100, 10, 1),
    minute('held', 50, 40, 1),
    minute('held', 45, 24, 2),
    minute('after', 1, 1, 1),
  ];
  expect(heldRatios(samples, 'snapshot')).toEqual({ speed: 0.9, p99: 1.2, speedAlone: 0.45, p99Alone: 2.4 });
  expect(heldRatios(samples, 'pg_dump')).toBeUndefined();
});
