import type { Logger } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import { isBehind } from './arrival.ts';

/** How often every group with members is compared with its log, in milliseconds: a lost message leaves no other trace. */
const INTERVAL_MS = 4_000;
/** Groups that are compared at the same time. */
const AT_ONCE = 64;

/** Compares groups with their logs again and again. `onBehind` brings the node to where the log is. */
export function startLogComparison(deps: {
  fanOut: FanOut;
  groupLog: GroupLog;
  log: Logger;
  groups: () => readonly string[];
  onBehind: (groupId: string) => Promise<void>;
}): { stop(): void } {
  const { fanOut, groupLog, log, groups, onBehind } = deps;
  let comparing = false;
  const stopping = new AbortController();

  async function compare(groupId: string): Promise<void> {
    const before = fanOut.cursor(groupId);
    const head = await groupLog.head(groupId);
    // A group whose cursor moved meanwhile is alive.
    if (!head || !fanOut.isWatched(groupId) || fanOut.cursor(groupId) !== before || !isBehind(before, head)) return;
    log.debug({ groupId, ...head }, 'a group is behind its log');
    await onBehind(groupId);
  }

  async function compareOrSay(groupId: string): Promise<void> {
    try {
      await compare(groupId);
    } catch (error) {
      // A log that cannot be read keeps no other from being compared.
      log.debug({ err: error, groupId }, 'unable to compare a group with its log');
    }
  }

  async function compareAll(): Promise<void> {
    const groupIds = groups();
    for (let start = 0; start < groupIds.length && !stopping.signal.aborted; start += AT_ONCE) {
      await Promise.all(groupIds.slice(start, start + AT_ONCE).map(compareOrSay));
    }
  }

  const timer = setInterval(() => {
    if (comparing) return;
    comparing = true;
    compareAll()
      .catch((error: unknown) => log.debug({ err: error }, 'unable to compare groups with their logs'))
      .finally(() => {
        comparing = false;
      });
  }, INTERVAL_MS);
  timer.unref();

  return {
    stop() {
      stopping.abort();
      clearInterval(timer);
    },
  };
}
