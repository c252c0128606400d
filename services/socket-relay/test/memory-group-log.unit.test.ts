import { expect, test } from 'vitest';
import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { describeGroupLog } from './group-log.suite.ts';

let clock = Date.UTC(2026, 0, 1);

describeGroupLog('memory', {
  create: (limits) => createMemoryGroupLog({ ...limits, now: () => clock }),
  outlive({ ttlMs }) {
    clock += ttlMs + 1;
  },
});

test('all groups together hold at most HISTORY_TOTAL_BYTES, and the quietest lose first', async () => {
  const limits = { size: 10, bytes: 100_000, ttlMs: 60_000, totalBytes: 1_000_000 };
  const log = createMemoryGroupLog(limits);
  const message = { text: 'x'.repeat(30_000) };
  for (let group = 1; group <= 60; group += 1) {
    await log.append({ groupId: `g${group}`, id: 'a', event: 'e', message, position: { epoch: '1-a', seq: 1 } });
  }
  expect(log.stats()?.bytes).toBeLessThanOrEqual(limits.totalBytes);
  expect((await log.read('g1', 0, 1)).events).toEqual([]);
  expect((await log.read('g60', 0, 1)).events).toHaveLength(1);
  expect(await log.head('g1')).toEqual({ epoch: '1-a', seq: 1 });
  await log.close();
});
