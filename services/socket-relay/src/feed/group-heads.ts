import type { Logger } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';

/** How long a group without events has to be silent to count as quiet, in milliseconds. */
const QUIET_MS = 1_500;
const TICK_MS = 500;

/**
 * After a burst, tells members once where the group stands, as the log knows it: a member that missed the last event of the burst would
 * otherwise learn of it only from the next one.
 */
export function startGroupHeads(deps: {
  fanOut: FanOut;
  groupLog: GroupLog;
  /** While it returns false nothing is said: missed events come with the lease. */
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
