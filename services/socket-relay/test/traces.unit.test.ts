import { GroupcastError } from '@groupcast/shared';
import { expect, test } from 'vitest';
import { createTraces } from '../src/tracing/traces.ts';

/** Traces on a node that knows nothing, with a log that fails. */
function start(failure: Error): ReturnType<typeof createTraces> {
  return createTraces({
    node: 'n',
    groupLog: {
      head: async () => Promise.reject(failure),
      read: async () => Promise.reject(failure),
    },
    nodeTraces: {
      trace: async () => ({ node: 'n', members: 0, cursor: null, refused: [], recipients: [], more: false }),
    } as never,
    acceptances: { note: () => undefined, of: () => undefined },
    otherNodes: { answer: () => undefined, poll: async () => ({ answers: [], missing: [] }) },
    hintAt: () => undefined,
  });
}

const query = { groupId: 'g', seq: 1, limit: 10 };

test('a log that cannot be reached is what stops an event', async () => {
  const { verdict } = await start(new GroupcastError('BROKER_UNAVAILABLE', 'unable to read; it is away')).trace(query);
  expect(verdict.code).toBe('REDIS_UNREACHABLE');
});

test('a fault of our own is not called an outage', async () => {
  const fault = new TypeError('head is not a function');
  await expect(start(fault).trace(query)).rejects.toBe(fault);
});
