import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { FanOut } from '../src/fan-out/fan-out.ts';
import { createCatchUp } from '../src/feed/catch-up.ts';
import type { GroupLog } from '../src/group-log/group-log.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';

test.each([
  ['members', 1],
  ['nobody yet', 0],
])('events that the log has no more are warned of in a group that has %s here: %d', async (_, members) => {
  const logged: string[] = [];
  const head = { epoch: '1-a', seq: 9 };
  const catchUp = createCatchUp({
    fanOut: {
      cursor: () => (members > 0 ? { epoch: '1-a', seq: 1 } : null),
      isWatched: () => true,
      memberCount: () => members,
      skipTo: () => undefined,
      announceHead: () => undefined,
    } as Partial<FanOut> as FanOut,
    groupLog: {
      read: async () => ({
        head,
        floor: 5,
        newsAfter: 9,
        events: [],
        exceptUserIds: new Map(),
        lastSeq: 9,
        more: false,
      }),
    } as Partial<GroupLog> as GroupLog,
    metrics: createRelayMetrics(),
    log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) }),
    isTrusted: () => true,
    takeBeginning: () => false,
    onMoved: () => undefined,
  });
  await catchUp.settle('g');
  expect(logged.length).toBe(members);
});
