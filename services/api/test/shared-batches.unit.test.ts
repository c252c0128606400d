import type { BatchItemResult, Broadcaster } from '@groupcast/broadcaster';
import { type BroadcastInput, GroupcastError } from '@groupcast/shared';
import { expect, test } from 'vitest';
import { createSharedBatches } from '../src/outbox/shared-batches.ts';

function relay(refuse: (items: readonly BroadcastInput[]) => GroupcastError | undefined = () => undefined) {
  const calls: string[][] = [];
  const take = (items: readonly BroadcastInput[]): BatchItemResult[] => {
    calls.push(items.map(({ id }) => String(id)));
    const error = refuse(items);
    if (error) throw error;
    return items.map(
      ({ id, groupId }) => ({ ok: true, id: String(id), groupId: String(groupId) }) as unknown as BatchItemResult,
    );
  };
  const broadcaster = {
    broadcastBatch: async (items: BroadcastInput[]) => take(items),
    broadcastMessage: async (item: BroadcastInput) => {
      const [result] = take([item]);
      if (!result?.ok) throw new Error('unreachable');
      return result;
    },
  } as unknown as Broadcaster;
  return { calls, batches: createSharedBatches(broadcaster) };
}

const run = (groupId: string, ids: readonly string[], bytes = 100) => ({
  inputs: ids.map((id) => ({ groupId, id, message: {} })),
  bytes,
});
const idsOf = (results: BatchItemResult[]) => results.map((result) => (result.ok ? result.id : result.error.code));

test('runs of one turn travel together, and each gets its own results', async () => {
  const { calls, batches } = relay();
  const answers = await Promise.all([
    batches.send(run('a', ['a1', 'a2'])),
    batches.send(run('b', ['b1'])),
    batches.send(run('c', ['c1', 'c2'])),
  ]);
  expect(calls).toEqual([['a1', 'a2', 'b1', 'c1', 'c2']]);
  expect(answers.map(idsOf)).toEqual([['a1', 'a2'], ['b1'], ['c1', 'c2']]);
});

test('a run that comes later is not waited for', async () => {
  const { calls, batches } = relay();
  await batches.send(run('a', ['a1']));
  await batches.send(run('b', ['b1']));
  expect(calls).toEqual([['a1'], ['b1']]);
});

test('runs that do not fit into one batch travel in several', async () => {
  const { calls, batches } = relay();
  await Promise.all(['a', 'b', 'c'].map(async (id) => batches.send(run(id, [id], 250_000))));
  expect(calls).toEqual([['a', 'b'], ['c']]);
});

test('a batch that is refused for one group is sent again group by group', async () => {
  const { batches } = relay((items) =>
    items.some(({ id }) => id === 'bad') ? new GroupcastError('PAYLOAD_TOO_LARGE', 'too large') : undefined,
  );
  const answers = await Promise.allSettled([batches.send(run('a', ['a1'])), batches.send(run('b', ['bad']))]);
  expect(answers).toMatchObject([
    { status: 'fulfilled', value: [{ ok: true, id: 'a1' }] },
    { status: 'rejected', reason: { code: 'PAYLOAD_TOO_LARGE' } },
  ]);
});

test('a relay that is away fails all of them, and is asked once', async () => {
  const { calls, batches } = relay(() => new GroupcastError('RELAY_UNAVAILABLE', 'away'));
  const answers = await Promise.allSettled(['a', 'b'].map(async (id) => batches.send(run(id, [id]))));
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(calls).toHaveLength(1);
});
