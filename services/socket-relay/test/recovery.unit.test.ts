import type { GroupEvent, Position } from '@groupcast/shared';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { FanOut } from '../src/fan-out/fan-out.ts';
import type { GroupFeed } from '../src/feed/feed.ts';
import { createLocalFeed } from '../src/feed/local-feed.ts';
import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { createRecovery } from '../src/membership/recovery.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';

const at = (seq: number): Position => ({ epoch: '1-a', seq });

/** A log and a node whose deliveries lag behind it by hand, as they do where a broker stands between them. */
function createLaggingNode() {
  const log = createMemoryGroupLog({ size: 100, bytes: 1e6, ttlMs: 1e6, totalBytes: 1e7 });
  let cursor: Position | null = null;
  /** Members of the group on this node, and those on their way in: without any, nobody keeps a cursor. */
  let watchers = 1;
  let onRead: (() => Promise<void>) | undefined;
  const entered: (Position | null)[] = [];
  const fanOut: FanOut = {
    deliver: () => 0,
    announceHead: () => undefined,
    memberCount: () => 0,
    cursor: () => cursor,
    hold: () => {
      watchers += 1;
      return () => {
        watchers -= 1;
      };
    },
    enter: (_socketId, _groupId, position) => void entered.push(position),
    takeQuiet: () => [],
    skipTo: () => undefined,
    isWatched: () => true,
    wordlessFor: () => [],
    nounOf: () => 'group',
    onDelivered: () => undefined,
    addReceiver: () => undefined,
    onIdle: () => undefined,
  };
  const groupLog: typeof log = {
    ...log,
    async read(...input) {
      const page = await log.read(...input);
      await onRead?.();
      return page;
    },
  };
  /** Number of settlements after which the first event is handed over to members who came before it. */
  let beginsAfter = 0;
  let settled = 0;
  let trusted = true;
  const localFeed = createLocalFeed(fanOut);
  const feed: GroupFeed = {
    ...localFeed,
    awaitsBeginning: () => settled < beginsAfter,
    async settle(groupId) {
      settled += 1;
      if (settled === beginsAfter) cursor = at(1);
      await localFeed.settle(groupId);
    },
  };
  const metrics = createRelayMetrics();
  return {
    entered,
    loseLease() {
      trusted = false;
    },
    get settled() {
      return settled;
    },
    awaitBeginning(settlements: number) {
      beginsAfter = settlements;
    },
    recovery: createRecovery({
      groupLog,
      feed,
      fanOut,
      deliveries: { recovered: () => undefined },
      fill: undefined,
      isTrusted: () => trusted,
      metrics,
      log: pino({ level: 'silent' }),
    }),
    /** Answers that were counted, by their outcome. */
    async resumes(): Promise<Record<string, number>> {
      const { values } = await metrics.resumes.get();
      return Object.fromEntries(values.map(({ labels, value }) => [labels.outcome, value]));
    },
    async append(seq: number) {
      await log.append({ groupId: 'g', id: `m${seq}`, event: 'e', message: {}, position: at(seq) });
    },
    deliver(seq: number) {
      if (watchers > 0) cursor = at(seq);
    },
    noMembers() {
      watchers = 0;
    },
    get watchers() {
      return watchers;
    },
    whileReading(action: typeof onRead) {
      onRead = action;
    },
  };
}

const seqs = (events: readonly GroupEvent[] | undefined): number[] => (events ?? []).map(({ seq }) => seq);

describe('a member goes live exactly where its answer ends', () => {
  test('an event delivered to others while the log was read is read as well (G17)', async () => {
    const node = createLaggingNode();
    for (const seq of [1, 2, 3]) await node.append(seq);
    node.deliver(3);
    node.whileReading(async () => {
      node.whileReading(undefined);
      await node.append(4);
      node.deliver(4);
    });
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(1) }]);
    const answer = prepared.commit('socket', () => true).get('g');
    expect([seqs(answer?.events), answer?.position, answer?.more]).toEqual([[2, 3, 4], at(4), false]);
    expect(node.entered).toEqual([at(4)]);
  });

  test('… also in a group that has no member on this node yet', async () => {
    const node = createLaggingNode();
    node.noMembers();
    for (const seq of [1, 2, 3]) await node.append(seq);
    node.whileReading(async () => {
      node.whileReading(undefined);
      await node.append(4);
      node.deliver(4);
    });
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(1) }]);
    const answer = prepared.commit('socket', () => true).get('g');
    expect([seqs(answer?.events), answer?.position, answer?.more]).toEqual([[2, 3, 4], at(4), false]);
    expect(node.watchers).toBe(0);
  });

  test('an event that the log has and the node has not delivered yet is waited for (G17)', async () => {
    const node = createLaggingNode();
    for (const seq of [1, 2, 3]) await node.append(seq);
    node.deliver(2);
    setImmediate(() => node.deliver(3));
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(1) }]);
    const answer = prepared.commit('socket', () => true).get('g');
    expect([seqs(answer?.events), answer?.more]).toEqual([[2, 3], false]);
  });

  test('the first event of all goes to the members that wait for it before another comes in after it', async () => {
    const node = createLaggingNode();
    node.awaitBeginning(1);
    await node.append(1);
    const prepared = await node.recovery.recover('bob', [{ groupId: 'g', since: undefined }]);
    expect(node.settled).toBe(1);
    expect(prepared.commit('socket', () => true).get('g')?.position).toEqual(at(1));
    expect(node.entered).toEqual([at(1)]);
  });

  test('… and where that takes too long, the other waits for it as well', async () => {
    const node = createLaggingNode();
    node.awaitBeginning(Number.POSITIVE_INFINITY);
    await node.append(1);
    const prepared = await node.recovery.recover('bob', [{ groupId: 'g', since: undefined }]);
    expect(prepared.commit('socket', () => true).get('g')?.position).toBeNull();
    expect(node.entered).toEqual([null]);
  });

  test('where it moves again before the answer leaves, the member is not live, and asks again', async () => {
    const node = createLaggingNode();
    for (const seq of [1, 2]) await node.append(seq);
    node.deliver(2);
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(1) }]);
    await node.append(3);
    node.deliver(3);
    const answer = prepared.commit('socket', () => true).get('g');
    expect([seqs(answer?.events), answer?.position, answer?.more]).toEqual([[2], at(2), true]);
    expect(node.entered).toEqual([]);
  });

  test('a member who joins without a position is told where the node stands at that moment', async () => {
    const node = createLaggingNode();
    await node.append(1);
    node.deliver(1);
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: undefined }]);
    await node.append(2);
    node.deliver(2);
    const answer = prepared.commit('socket', () => true).get('g');
    expect(answer).toEqual({ recovered: false, position: at(2), events: [], more: false });
  });

  test('events read before the relay lost its lease are given to nobody afterwards: the member is told to read the API', async () => {
    const node = createLaggingNode();
    for (const seq of [1, 2]) await node.append(seq);
    node.deliver(2);
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(1) }]);
    node.loseLease();
    const answer = prepared.commit('socket', () => true).get('g');
    expect(answer).toEqual({ recovered: false, position: at(2), events: [], more: false });
  });

  test('those who come back with a position are counted by what they are answered, and those without are not', async () => {
    const node = createLaggingNode();
    const answer = async (since: Position | undefined): Promise<void> => {
      const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since }]);
      prepared.commit('socket', () => true);
    };
    for (const seq of [1, 2]) await node.append(seq);
    node.deliver(2);
    await answer(at(1));
    await answer(undefined);
    await answer({ epoch: '0-z', seq: 1 });
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(1) }]);
    await node.append(3);
    node.deliver(3);
    prepared.commit('socket', () => true);
    expect(await node.resumes()).toEqual({ recovered: 1, 'not-recovered': 1, more: 1 });
  });

  test('a group that was taken away meanwhile is not entered', async () => {
    const node = createLaggingNode();
    await node.append(1);
    const prepared = await node.recovery.recover('alice', [{ groupId: 'g', since: at(0) }]);
    expect(prepared.commit('socket', () => false)).toEqual(new Map());
    expect(node.entered).toEqual([]);
  });
});
