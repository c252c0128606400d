import { type BatchItemResult, type Broadcaster, GroupcastError } from '@groupcast/broadcaster';
import type { BroadcastInput } from '@groupcast/shared';

/** Well below the relay's limits of 900 KB and 1,000 items for a batch. */
export const MAX_BATCH = { bytes: 600_000, items: 500 } as const;

/** Events of one group, in order. They fit into a batch. */
export interface GroupRun {
  inputs: readonly BroadcastInput[];
  bytes: number;
}

/**
 * Sends runs of several groups as one batch where they come in the same turn of the event loop. The relay then reads, carries out and writes them
 * in one turn too: a member of several of these groups gets them in one write.
 */
export interface SharedBatches {
  /** Resolves with a result for each event. Rejects where the whole batch has failed: nobody knows of any of its events. */
  send(run: GroupRun): Promise<BatchItemResult[]>;
  /** The same, with no other group's run in the batch. */
  sendAlone(run: GroupRun): Promise<BatchItemResult[]>;
}

interface Waiting extends GroupRun {
  resolve: (results: BatchItemResult[]) => void;
  reject: (error: unknown) => void;
}

export function createSharedBatches(broadcaster: Broadcaster): SharedBatches {
  let waiting: Waiting[] = [];

  async function call(inputs: readonly BroadcastInput[]): Promise<BatchItemResult[]> {
    const [only, second] = inputs;
    // Alone, an event may be as large as the relay allows; a batch has a limit of its own.
    if (!only || second) return broadcaster.broadcastBatch([...inputs]);
    return [{ ok: true, ...(await broadcaster.broadcastMessage(only)) }];
  }

  async function sendTogether(runs: readonly Waiting[]): Promise<void> {
    try {
      const results = await call(runs.flatMap(({ inputs }) => inputs));
      let from = 0;
      for (const { inputs, resolve } of runs) {
        resolve(results.slice(from, from + inputs.length));
        from += inputs.length;
      }
    } catch (error) {
      // A batch that is refused as such may be refused because of one group: the others do not answer for it.
      const isOfBatch = error instanceof GroupcastError && !error.retryable;
      if (isOfBatch && runs.length > 1) for (const run of runs) void sendTogether([run]);
      else for (const { reject } of runs) reject(error);
    }
  }

  function flush(): void {
    let runs: Waiting[] = [];
    let [bytes, items] = [0, 0];
    for (const next of waiting) {
      const isFull = bytes + next.bytes > MAX_BATCH.bytes || items + next.inputs.length > MAX_BATCH.items;
      if (isFull && runs.length > 0) {
        void sendTogether(runs);
        runs = [];
        [bytes, items] = [0, 0];
      }
      runs.push(next);
      bytes += next.bytes;
      items += next.inputs.length;
    }
    waiting = [];
    if (runs.length > 0) void sendTogether(runs);
  }

  return {
    sendAlone: async ({ inputs }) => call(inputs),
    async send(run) {
      return new Promise((resolve, reject) => {
        if (waiting.length === 0) setImmediate(flush);
        waiting.push({ ...run, resolve, reject });
      });
    },
  };
}
