import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Database } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';
import type { Dispatcher } from './dispatcher.ts';

const CHANNEL = 'groupcast_outbox';

/**
 * Wakes the dispatcher after a commit: this process's own at once and, where it has no relay to send to, those of the
 * other processes through NOTIFY. A group that another process works on needs no word: giving a lease back and seeing
 * that nothing is left is one statement. So NOTIFY, whose commits PostgreSQL puts in a single line, is not sent per
 * message while all is well.
 */
export async function createOutboxWakeUp(deps: {
  db: Database;
  dispatcher: Pick<Dispatcher, 'wake'>;
  relay: { readonly connected: boolean };
  log: Logger;
}): Promise<{ wake: (groupId?: string) => void; stop: () => Promise<void> }> {
  const { db, dispatcher, relay, log } = deps;
  const warn = warnOnceEvery(60_000);
  const unlisten = await db.listen(
    CHANNEL,
    (groupId) => dispatcher.wake(groupId),
    () => dispatcher.wake(),
  );
  return {
    wake(groupId) {
      dispatcher.wake(groupId);
      if (relay.connected || groupId === undefined) return;
      db.notify(CHANNEL, groupId).catch((error: unknown) => {
        warn('notify', () =>
          log.warn(describeFailure(error), 'unable to notify other processes; their poll will find the event'),
        );
      });
    },
    stop: unlisten,
  };
}
