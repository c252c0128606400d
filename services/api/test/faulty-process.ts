import type { Broadcaster } from '@groupcast/broadcaster';
import { GroupcastError } from '@groupcast/shared';
import type { Database, Queryable } from '../src/db/database.ts';

/**
 * `dies`: nothing is done any more, from this step on. `refused`: the step is not done. `unanswered`: it is done, and its answer is lost. The
 * process lives on after these two.
 */
export type Fault = 'dies' | 'refused' | 'unanswered';

/** Statements that change nothing: dying before one is dying after the one before it. */
const READS = /^\s*(?:select|set)\b(?!.*\b(?:save_messages|settle_groups)\()/is;

/**
 * A process in which one step goes wrong, the one with this number, from 1. Steps are the statements that write, commits of transactions, and
 * calls of the relay.
 */
export function createFaultyProcess(at: number, fault: Fault) {
  let steps = 0;
  let isDead = false;

  async function step<T>(gone: () => GroupcastError, work: () => Promise<T>): Promise<T> {
    if (isDead) throw gone();
    steps += 1;
    if (steps !== at) return work();
    isDead = fault === 'dies';
    if (fault === 'unanswered') await work();
    throw gone();
  }

  const noDatabase = (): GroupcastError => new GroupcastError('API_UNAVAILABLE', 'the connection was lost');
  const noRelay = (): GroupcastError => new GroupcastError('RELAY_UNAVAILABLE', 'the connection was lost');

  function withFaults(q: Queryable): Queryable['query'] {
    return async (text, params) => {
      if (isDead) throw noDatabase();
      return READS.test(text) ? q.query(text, params) : step(noDatabase, async () => q.query(text, params));
    };
  }

  return {
    get steps() {
      return steps;
    },
    get isDead() {
      return isDead;
    },
    database: (db: Database): Database => ({
      ...db,
      query: withFaults(db),
      async transaction(work, options) {
        if (isDead) throw noDatabase();
        // A commit is done, or it is not: nothing that is done in the transaction afterwards may fail.
        let isLost = false;
        const result = await db.transaction(async (tx) => {
          const answer = await work({ query: withFaults(tx) });
          await step(noDatabase, async () => undefined).catch((error: unknown) => {
            if (fault !== 'unanswered') throw error;
            isLost = true;
          });
          return answer;
        }, options);
        if (isLost) throw noDatabase();
        return result;
      },
    }),
    relay: (relay: Broadcaster): Broadcaster => ({
      ...relay,
      broadcastMessage: async (input) => step(noRelay, async () => relay.broadcastMessage(input)),
      broadcastBatch: async (items) => step(noRelay, async () => relay.broadcastBatch(items)),
      addMembers: async (input) => step(noRelay, async () => relay.addMembers(input)),
      removeMembers: async (input) => step(noRelay, async () => relay.removeMembers(input)),
    }),
  };
}

export type FaultyProcess = ReturnType<typeof createFaultyProcess>;
