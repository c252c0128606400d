import { GroupcastError } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createLiveReads } from '../src/cursors/live-reads.ts';
import type { Queryable } from '../src/db/database.ts';
import { createApiMetrics } from '../src/metrics.ts';
import type { RelayPort } from '../src/outbox/relay-connection.ts';

type Shown = Parameters<RelayPort['updateCursors']>[0];

const noRows: Queryable = { query: async () => ({ rows: [], count: 0 }) };

function createRelay() {
  const calls: Shown[] = [];
  const relay = {
    connected: true,
    disconnectUsers: async () => ({ connections: 0 }),
    updateCursors: async (input: Shown) => {
      calls.push(input);
    },
  };
  return { relay, calls };
}

function setUp(db = noRows, maxWaiting?: number) {
  const { relay, calls } = createRelay();
  const metrics = createApiMetrics(async () => ({ events: 0, groups: 0, oldestSeconds: 0 }));
  const log = pino({ level: 'silent' });
  const options = { intervalMs: 1, ...(maxWaiting === undefined ? {} : { maxWaiting }) };
  const reads = createLiveReads({ db, relay, metrics, log }, options);
  const add = (groupId: string, userId: string, readFrom: number, readSeq: number, memberCount = 2) =>
    reads.add({ groupId, userId, readFrom, readSeq, memberCount, unreadCount: 0, position: { epoch: '1-a', seq: 99 } });
  const dropped = async (reason: string): Promise<number> =>
    (await metrics.readsDropped.get()).values.find(({ labels }) => labels.reason === reason)?.value ?? 0;
  return { reads, relay, calls, add, dropped };
}

describe('reads over HTTP', () => {
  test('are shown together, one for each member and group, without a question to the database in small groups', async () => {
    const asked: string[] = [];
    const { reads, calls, add } = setUp({
      query: async (text) => {
        asked.push(text);
        return { rows: [], count: 0 };
      },
    });
    add('g', 'alice', 1, 3);
    add('g', 'bob', 0, 2);
    add('h', 'alice', 4, 5, 100);
    add('g', 'alice', 3, 7);
    // It has moved nothing.
    add('g', 'carol', 4, 4);
    await until('the call', () => calls.length > 0);
    expect(calls).toEqual([
      {
        cursors: [
          { groupId: 'g', userId: 'alice', read: 7 },
          { groupId: 'g', userId: 'bob', read: 2 },
          { groupId: 'h', userId: 'alice', read: 5 },
        ],
        groups: { g: { memberCount: 2 }, h: { memberCount: 100 } },
      },
    ]);
    expect(asked).toEqual([]);
    await reads.stop();
  });

  test('tell the senders of large groups numbers, by everything that has moved since the last call', async () => {
    const asked: (readonly unknown[])[] = [];
    const { reads, calls, add } = setUp({
      query: async (_text, params = []) => {
        asked.push(params);
        const row = { group_id: 'g', user_id: 'bob', seq: 5, is_asked: true, received: 5, read: 5, members: 1 };
        const others = { group_id: 'g', user_id: null, seq: null, is_asked: false, received: 1, read: 0, members: 30 };
        return { rows: [row, others] as never, count: 2 };
      },
    });
    add('g', 'alice', 1, 3, 101);
    add('g', 'alice', 3, 7, 101);
    add('h', 'alice', 3, 7, 3);
    await until('the call', () => calls.length > 0);
    expect(asked).toEqual([[['g'], ['alice'], [1], [7], [1], [7]]]);
    expect(calls[0]?.groups).toEqual({
      g: { memberCount: 101, counts: [{ userId: 'bob', seq: 5, received: 30, read: 0 }] },
      h: { memberCount: 3 },
    });
    await reads.stop();
  });

  test('wait while the relay has not answered the call before, and are merged meanwhile', async () => {
    const { reads, relay, calls, add } = setUp();
    let answer = (): void => undefined;
    relay.updateCursors = async (input) => {
      calls.push(input);
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
    };
    add('g', 'alice', 0, 1);
    await until('the first call', () => calls.length === 1);
    add('g', 'alice', 1, 2);
    add('g', 'alice', 2, 3);
    answer();
    await until('the second call', () => calls.length === 2);
    expect(calls[1]?.cursors).toEqual([{ groupId: 'g', userId: 'alice', read: 3 }]);
    answer();
    await reads.stop();
  });

  test('are dropped and counted while the relay is away, when it refuses, and when there are too many', async () => {
    const { reads, relay, calls, add, dropped } = setUp(noRows, 2);
    relay.connected = false;
    add('g', 'alice', 0, 1);
    add('g', 'bob', 0, 1);
    add('g', 'carol', 0, 1);
    add('g', 'bob', 1, 2);
    await until('two to be dropped', async () => (await dropped('relay')) === 2);
    expect(await dropped('full')).toBe(1);
    relay.connected = true;
    const accept = relay.updateCursors;
    relay.updateCursors = async () => {
      throw new GroupcastError('UNKNOWN_EVENT', 'a relay of an earlier version');
    };
    add('g', 'alice', 1, 2);
    await until('the third', async () => (await dropped('relay')) === 3);
    relay.updateCursors = accept;
    add('g', 'alice', 2, 3);
    await until('the call', () => calls.length > 0);
    expect(calls).toEqual([
      { cursors: [{ groupId: 'g', userId: 'alice', read: 3 }], groups: { g: { memberCount: 2 } } },
    ]);
    await reads.stop();
  });
});
