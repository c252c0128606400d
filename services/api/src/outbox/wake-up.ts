import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Database } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';

const CHANNEL = 'groupcast_outbox';

/** How dispatchers of several processes on one database tell each other that a group has a backlog. */
export interface WakeUps {
  /** Tells the others. When it fails, their poll finds the event all the same. */
  send(groupId: string): void;
  /** Calls `wake` for what others send, and without a group whenever something may have been missed. Resolves to how it ends. */
  receive(wake: (groupId?: string) => void): Promise<() => Promise<void>>;
}

/** Wake-ups by PostgreSQL's NOTIFY. The embedded database has a single process, and passes none on. */
export function createWakeUps({ db, log }: { db: Database; log: Logger }): WakeUps {
  const warn = warnOnceEvery(60_000);
  return {
    send(groupId) {
      db.notify(CHANNEL, groupId).catch((error: unknown) => {
        warn('notify', () =>
          log.warn(describeFailure(error), 'unable to notify other processes; their poll will find the event'),
        );
      });
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
