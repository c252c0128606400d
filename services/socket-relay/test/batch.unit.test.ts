import type { BroadcastResult } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createBatchBroadcast } from '../src/broadcast/batch.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';

const log = pino({ level: 'silent' });
const item = (groupId: string, id: string) => ({ groupId, id, message: {} });

/** A batch whose items end when the test says so. */
function startBatch(items: readonly object[]) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const batch = createBatchBroadcast({
    async broadcast({ groupId, id = '' }) {
      begun.push(id);
      await new Promise<void>((resolve) => ends.set(id, resolve));
      return { id, groupId } as BroadcastResult;
    },
    awaitDelivery: async (_command, result) => result,
    metrics: createRelayMetrics(),
    log,
  });
  return { begun, end: (id: string) => ends.get(id)?.(), done: batch(items, { at: 0, isIn: false }, () => undefined) };
}

test('a group of a batch whose log is slow holds up no other group, and its own items wait for each other', async () => {
  const { begun, end, done } = startBatch([
    item('slow', 's1'),
    item('slow', 's2'),
    item('quick', 'q1'),
    item('quick', 'q2'),
  ]);
  end('q1');
  await until('the other group', () => begun.includes('q2'));
  expect(begun).toEqual(['s1', 'q1', 'q2']);
  end('q2');
  end('s1');
  await until('the next item of the slow group', () => begun.includes('s2'));
  end('s2');
  // Answers stand in the order of the items all the same.
  expect((await done).results).toMatchObject([{ id: 's1' }, { id: 's2' }, { id: 'q1' }, { id: 'q2' }]);
});
