import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FanOut } from '../src/fan-out/fan-out.ts';
import { createClusterFeed } from '../src/feed/cluster-feed.ts';
import type { GroupFeed } from '../src/feed/feed.ts';
import type { GroupLog } from '../src/group-log/group-log.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';
import type { ShardChannels } from '../src/nodes/channels.ts';

describe('groups that are brought to where their logs are, once the lease is back', () => {
  let feed: GroupFeed;
  let trusted = true;
  const unreadable = new Set<string>();
  const reads: string[] = [];
  let logged: { level: number; msg: string; groups?: number; groupId?: string }[] = [];

  beforeEach(async () => {
    vi.useFakeTimers();
    trusted = true;
    unreadable.clear();
    logged = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
    const groupLog = {
      async read(groupId: string) {
        reads.push(groupId);
        if (groupId.startsWith('slow')) await new Promise((resolve) => setTimeout(resolve, 2_000));
        if (unreadable.has(groupId) || groupId.startsWith('slow')) throw new Error('WRONGTYPE');
        return { head: null, floor: 0, newsAfter: 0, events: [], exceptUserIds: new Map(), lastSeq: 0, more: false };
      },
      head: async () => null,
    } as Partial<GroupLog> as GroupLog;
    const fanOut = { cursor: () => null, isWatched: () => true, onIdle: () => undefined } as Partial<FanOut> as FanOut;
    const channels = { subscribe: async () => undefined } as Partial<ShardChannels> as ShardChannels;
    feed = createClusterFeed({
      node: 'n',
      fanOut,
      groupLog,
      channels,
      metrics: createRelayMetrics(),
      log,
      isTrusted: () => trusted,
      onPresence: () => undefined,
    });
    await feed.open(['a', 'b', 'c', 'd']);
    reads.length = 0;
  });
  afterEach(() => {
    feed.stop();
    vi.useRealTimers();
  });

  function settling(): { answer: boolean | undefined } {
    const state: { answer: boolean | undefined } = { answer: undefined };
    void feed.settleAll().then((answer) => (state.answer = answer));
    return state;
  }
  const warnings = () => logged.filter(({ level }) => level === 40);

  test('wait 10 s for those that cannot be read, and then for nobody: the log says how many, and names one', async () => {
    for (const groupId of ['b', 'd']) unreadable.add(groupId);
    const state = settling();
    await vi.advanceTimersByTimeAsync(9_500);
    expect([state.answer, warnings()]).toEqual([undefined, []]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(state.answer).toBe(true);
    expect(warnings()).toMatchObject([{ groups: 2, groupId: 'b' }]);
    // Each group that can be read has been, once.
    expect(reads.filter((groupId) => groupId === 'a' || groupId === 'c')).toEqual(['a', 'c']);
  });

  test('wait no longer where they are too many, and fail too late, for one round to be over by then', async () => {
    await feed.open(Array.from({ length: 1_000 }, (_, n) => `slow${n}`));
    const state = settling();
    await vi.advanceTimersByTimeAsync(12_500);
    expect(state.answer).toBe(true);
    expect(warnings()).toMatchObject([{ groups: 1_000, groupId: 'slow0' }]);
  });

  test('are complete as soon as the last of them can be read, and nothing is said', async () => {
    unreadable.add('c');
    const state = settling();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(state.answer).toBeUndefined();
    unreadable.clear();
    await vi.advanceTimersByTimeAsync(500);
    expect([state.answer, warnings()]).toEqual([true, []]);
  });

  test('are not live where the lease ended meanwhile, however long it took', async () => {
    unreadable.add('c');
    const state = settling();
    await vi.advanceTimersByTimeAsync(5_000);
    trusted = false;
    await vi.advanceTimersByTimeAsync(20_000);
    expect([state.answer, warnings()]).toEqual([false, []]);
  });
});
