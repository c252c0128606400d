import type { PresencesResult } from '@groupcast/shared';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type ConversationDeps, createConversationHandlers } from '../src/connections/conversation-events.ts';
import { createUserHandlers, type UserHandlerDeps } from '../src/connections/user-events.ts';
import { createRateLimit, TokenBucket } from '../src/sessions/rate-limit.ts';
import type { UserSocket } from '../src/sessions/session.ts';
import { createUserBudgets, type UserBudgets } from '../src/sessions/user-budgets.ts';

function clock() {
  const time = { ms: 0 };
  return { time, now: () => time.ms };
}

describe('a token bucket', () => {
  test('gives what it holds, and what came back since', () => {
    const { time, now } = clock();
    const bucket = new TokenBucket(10, 20, now);
    expect([bucket.take(20), bucket.take(1), bucket.msUntil(1)]).toEqual([true, false, 100]);
    time.ms = 100;
    expect([bucket.take(1), bucket.take(1)]).toEqual([true, false]);
    time.ms = 1_000_000;
    expect([bucket.isFull(), bucket.take(21), bucket.take(20)]).toEqual([true, false, true]);
  });

  test('owes what was used before it was counted, but never more than it can hold', () => {
    const { time, now } = clock();
    const bucket = new TokenBucket(10, 20, now);
    bucket.charge(1_000);
    expect(bucket.msUntil(1)).toBe(2_100);
    time.ms = 2_100;
    expect(bucket.take(1)).toBe(true);
  });

  test('is not asked for more than it can hold', () => {
    const { now } = clock();
    const bucket = new TokenBucket(10, 20, now);
    bucket.take(20);
    expect(bucket.msUntil(1_000)).toBe(2_000);
  });
});

describe('a rate limit', () => {
  test('does not mind when somebody sets the clock of the machine', () => {
    const limit = createRateLimit(1);
    limit.take();
    limit.take();
    const refused = (): number | undefined => {
      try {
        limit.take();
        return undefined;
      } catch (error) {
        return (error as { retryAfterMs: number }).retryAfterMs;
      }
    };
    const real = Date.now;
    onTestFinished(() => {
      Date.now = real;
    });
    Date.now = () => real() - 3_600_000;
    expect(refused()).toBeLessThanOrEqual(1_000);
  });
});

describe('the budget of a user', () => {
  function open(): { budgets: UserBudgets; time: { ms: number } } {
    const { time, now } = clock();
    const budgets = createUserBudgets(50, now);
    onTestFinished(budgets.stop);
    return { budgets, time };
  }

  const refused = expect.objectContaining({ code: 'RATE_LIMITED' }) as Error;

  test('is one for all their connections, and nobody else’s (G48)', () => {
    const { budgets } = open();
    budgets.of('alice').takeWork(800);
    expect(() => budgets.of('alice').takeWork(1)).toThrow(refused);
    budgets.of('bob').takeWork(1);
  });

  test('is reserved by callers of the same moment one after the other, and not further ahead than they may wait', () => {
    const { budgets, time } = open();
    const alice = budgets.of('alice');
    const waits = Array.from({ length: 9 }, () => alice.reserveWork(200, 1_000));
    expect(waits).toEqual([0, 0, 0, 0, 500, 1_000, undefined, undefined, undefined]);
    time.ms = 1_000;
    expect(() => alice.takeWork(1)).toThrow(refused);
    time.ms = 1_500;
    alice.takeWork(200);
  });

  test('lets something pass that is larger than all of it, once it is full', () => {
    const { budgets, time } = open();
    const alice = budgets.of('alice');
    alice.takeWork(5_000);
    expect(() => alice.takeWork(5_000)).toThrow('unable to do so much at once');
    time.ms = 2_000;
    alice.takeWork(5_000);
  });

  test('counts large packets as work', () => {
    const { budgets } = open();
    const alice = budgets.of('alice');
    expect(alice.takePacket(4_096 * 1_000)).toBe(true);
    expect(() => alice.takeWork(1)).toThrow(refused);
    // These are as many packets at once: the first of 1,000 units, and half of the second.
    expect([alice.takePacket(4_096 * 500), alice.takePacket(4_096 * 600)]).toEqual([true, false]);
  });
});

test('reads of a thousand groups, which are told to all relays, cost more than cursors that nobody is told of', async () => {
  const budgets = createUserBudgets(50, () => 0);
  onTestFinished(() => budgets.stop());
  const told: string[] = [];
  const { 'update-cursors': update } = createUserHandlers({
    budgets,
    cursors: { report: () => undefined, stop: async () => undefined },
    readCursors: { reported: ({ groupId }: { groupId: string }) => void told.push(groupId) },
    fanOut: { cursor: () => null },
    entry: { used: () => undefined },
    metrics: {},
  } as unknown as UserHandlerDeps);
  const groupIds = Array.from({ length: 1_000 }, (_, n) => `g${n}`);
  const report = async (userId: string, cursors: object): Promise<void> => {
    const session = { userId, groups: new Map(groupIds.map((groupId) => [groupId, 'token'])) };
    await update?.({ id: 's', data: { session } } as unknown as UserSocket, {
      cursors: Object.fromEntries(groupIds.map((groupId) => [groupId, cursors])),
    });
  };
  for (let n = 0; n < 3; n += 1) await report('receiver', { received: 1 });
  budgets.of('receiver').takeWork(1);
  expect(told).toEqual([]);
  for (let n = 0; n < 3; n += 1) await report('reader', { read: 1 });
  expect(told).toHaveLength(3_000);
  expect(() => budgets.of('reader').takeWork(1)).toThrow('try again later');
});

test('the presence of a hundred large groups is not read for an answer that has no room for it', async () => {
  const budgets = createUserBudgets(50, () => 0);
  onTestFinished(() => budgets.stop());
  const read: string[] = [];
  const handlers = createConversationHandlers({
    budgets,
    presence: {
      async get(groupId: string) {
        read.push(groupId);
        const numUsers = groupId === 'small' ? 5 : 9_000;
        return { users: [], numUsers, numConnections: numUsers };
      },
    },
  } as unknown as ConversationDeps);
  const groupIds = ['small', ...Array.from({ length: 99 }, (_, n) => `g${n}`)];
  const session = { userId: 'u', groups: new Map(groupIds.map((groupId) => [groupId, 'token'])) };
  const socket = { id: 's', data: { session } } as unknown as UserSocket;
  const answer = (await handlers['get-presence']?.(socket, { groupIds })) as PresencesResult;
  const named = Object.entries(answer.groups).flatMap(([groupId, one]) => ('error' in one ? [] : [groupId]));
  // A group that has no room leaves its room to smaller ones.
  expect(named).toEqual(['small', 'g0']);
  expect(Object.keys(answer.groups)).toHaveLength(100);
  expect(read.length).toBeLessThanOrEqual(20);
  expect(() => budgets.of('u').takeWork(1)).toThrow('try again later');
});
