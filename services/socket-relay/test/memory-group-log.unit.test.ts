import { expect, test, vi } from 'vitest';
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

test('many groups of which only the position is left take a share of it', async () => {
  const totalBytes = 10_000_000;
  const log = createMemoryGroupLog({ size: 1, bytes: 2_000, ttlMs: 60_000, totalBytes });
  const message = { text: 'x' };
  for (let group = 1; group <= 100_000; group += 1) {
    await log.append({ groupId: `g${group}`, id: 'a', event: 'e', message, position: { epoch: '1-a', seq: 1 } });
  }
  const stats = log.stats();
  expect(stats?.bytes).toBeLessThanOrEqual(totalBytes);
  expect(stats?.groups).toBeLessThanOrEqual(totalBytes / 500);
  // Those that were forgotten begin anew, and the newest are complete.
  expect(await log.head('g1')).toBeNull();
  expect(await log.append({ groupId: 'g1', id: 'b', event: 'e', message, position: { epoch: '1-a', seq: 2 } })).toEqual(
    {
      outcome: 'appended',
      position: { epoch: '1-a', seq: 2 },
    },
  );
  expect((await log.read('g100000', 0, 10)).events).toHaveLength(1);
  await log.close();
});

test('of a group that is over nothing outlives its events', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  let now = 0;
  const log = createMemoryGroupLog({ size: 10, bytes: 2_000, ttlMs: 60_000, totalBytes: 1_000_000, now: () => now });
  for (const [groupId, event] of [
    ['over', 'group-deleted'],
    ['quiet', 'new-message'],
  ] as const) {
    await log.append({ groupId, id: 'a', event, message: {}, position: { epoch: '1-a', seq: 1 } });
  }
  now = 61_000;
  vi.advanceTimersByTime(60_000);
  expect([await log.head('over'), await log.head('quiet')]).toEqual([null, { epoch: '1-a', seq: 1 }]);
  await log.close();
  vi.useRealTimers();
});
