import type { Logger } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';

/** A group that had no event for this long is quiet. */
const QUIET_MS = 1_500;
const TICK_MS = 500;

/**
 * After a burst, says once where the group stands, as the log knows it: whoever missed the last event of the burst would
 * otherwise learn of it only from the next one.
 */
export function startGroupHeads(deps: {
  fanOut: FanOut;
  groupLog: GroupLog;
  /** While it is false nothing is said: what was missed comes with the lease. */
  isTrusted: () => boolean;
  log: Logger;
}): { stop(): void } {
  async function announce(groupId: string): Promise<void> {
    if (!deps.isTrusted()) return;
    const head = await deps.groupLog.head(groupId);
    if (head && deps.isTrusted()) deps.fanOut.announceHead({ groupId, ...head });
  }
  const timer = setInterval(() => {
    for (const groupId of deps.fanOut.takeQuiet(QUIET_MS)) {
      announce(groupId).catch((error: unknown) => deps.log.warn({ err: error, groupId }, 'unable to announce a head'));
    }
  }, TICK_MS);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
    },
  };
}
