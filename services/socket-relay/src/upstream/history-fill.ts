import type { Logger } from '@groupcast/service-kit';
import type { GroupLog } from '../group-log/group-log.ts';
import type { ApiClient } from './api-client.ts';

/** How long a group that was filled, or that the API does not know, is not asked about again, in milliseconds. */
const REMEMBER_MS = 10 * 60_000;
/** How long after a failure a group is not asked about again, in milliseconds: a storm of clients does not become a storm of requests. */
const FAILURE_MS = 1_000;
const MAX_REMEMBERED = 100_000;

/** Fills a group's log from the API: once, however many clients ask. */
export interface HistoryFill {
  /** Returns true if the log was filled just now, and is worth reading again. */
  fill(groupId: string): Promise<boolean>;
}

export function createHistoryFill(deps: {
  api: ApiClient;
  groupLog: GroupLog;
  log: Logger;
  now?: () => number;
}): HistoryFill {
  const now = deps.now ?? (() => performance.now());
  const flights = new Map<string, Promise<boolean>>();
  const notBefore = new Map<string, number>();

  function remember(groupId: string, forMs: number): void {
    notBefore.delete(groupId);
    notBefore.set(groupId, now() + forMs);
    if (notBefore.size <= MAX_REMEMBERED) return;
    const [oldest] = notBefore.keys();
    if (oldest !== undefined) notBefore.delete(oldest);
  }

  async function load(groupId: string): Promise<boolean> {
    try {
      const { position, events } = await deps.api.history(groupId);
      remember(groupId, REMEMBER_MS);
      if (!position) return false;
      await deps.groupLog.backfill(groupId, position, events);
      return true;
    } catch (error) {
      remember(groupId, FAILURE_MS);
      deps.log.debug({ err: error, groupId }, 'unable to fill the log of a group; its members read the API themselves');
      return false;
    } finally {
      flights.delete(groupId);
    }
  }

  return {
    async fill(groupId) {
      const flight = flights.get(groupId);
      if (flight) return flight;
      if ((notBefore.get(groupId) ?? 0) > now()) return false;
      const fresh = load(groupId);
      flights.set(groupId, fresh);
      return fresh;
    },
  };
}
