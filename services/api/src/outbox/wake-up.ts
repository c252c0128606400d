import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Database, Listening } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';

const CHANNEL = 'groupcast_outbox';
/** Most groups of one statement, and of those that wait for the next one. */
const MAX_GROUPS = 1_000;

/** How dispatchers of several processes on one database tell each other that a group has a backlog. */
export interface WakeUps {
  /** Tells the others. When it fails, their poll finds the event all the same. */
  send(groupId: string): void;
  /** Calls `wake` for what others send, and without a group whenever something may have been missed. Resolves to how it ends. */
  receive(wake: (groupId?: string) => void): Promise<Listening>;
}

/**
 * Wake-ups by PostgreSQL's NOTIFY. The embedded database has a single process, and passes none on. PostgreSQL puts the commits of all
 * transactions that notify in a single line, so these are transactions of their own, one at a time, with all groups that have come meanwhile.
 */
export function createWakeUps({ db, log }: { db: Database; log: Logger }): WakeUps {
  const warn = warnOnceEvery(60_000);
  const waiting = new Set<string>();
  let isSending = false;

  async function sendAll(): Promise<void> {
    if (isSending) return;
    isSending = true;
    while (waiting.size > 0) {
      const groupIds = [...waiting];
      waiting.clear();
      // One after the other is what bounds them.
      await db.notify(CHANNEL, groupIds).catch((error: unknown) => {
        warn('notify', (suppressed) =>
          log.warn(
            { ...describeFailure(error), suppressed },
            'unable to notify other processes; their poll will find the event',
          ),
        );
      });
    }
    isSending = false;
  }

  return {
    send(groupId) {
      if (waiting.size < MAX_GROUPS) waiting.add(groupId);
      void sendAll();
    },
    async receive(wake) {
      return db.listen(
        CHANNEL,
        (groupId) => wake(groupId),
        () => wake(),
      );
    },
  };
}
