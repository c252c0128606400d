import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Cursors, CursorsAnswer, CursorUpdates } from '@groupcast/shared';
import type { ApiClient } from './api-client.ts';
import { isNotOffered } from './calls.ts';

const INTERVAL_MS = 500;
const MAX_PER_REQUEST = 1_000;
/** How long cursors that wait are still sent when the relay stops, in milliseconds; a request that is under way ends by its own deadline. */
const STOP_WITHIN_MS = 2_000;
/** How long a back end that keeps no cursors is not asked again, in milliseconds: a newer version of it may. */
const NOT_OFFERED_PAUSE_MS = 60_000;
/** Most cursors that wait. Cursors are cumulative: a dropped one is made good by the member's next report. */
const MAX_WAITING = 100_000;

/** Forwards the members' cursors to the API, merged per member and group, at most twice a second. Nobody keeps those that it does not take. */
export interface CursorForwarder {
  report(userId: string, groupId: string, cursors: Cursors): void;
  /** Sends the remaining cursors. */
  stop(): Promise<void>;
}

export function createCursorForwarder(deps: {
  api: Pick<ApiClient, 'storeCursors'>;
  /** Is told what the API has stored, and what it says about the groups. */
  onStored: (updates: CursorUpdates['cursors'], groups: CursorsAnswer['groups']) => void;
  log: Logger;
}): CursorForwarder {
  type Update = Cursors & { userId: string; groupId: string };
  const waiting = new Map<string, Update>();
  const warn = warnOnceEvery(60_000);
  let sending: Promise<boolean> | undefined;
  let pausedUntil = Number.NEGATIVE_INFINITY;

  function merge(update: Update): void {
    const key = `${update.groupId} ${update.userId}`;
    const known = waiting.get(key);
    if (!known && waiting.size >= MAX_WAITING) {
      warn('full', (suppressed) =>
        deps.log.warn(
          { suppressed },
          'too many cursors wait for the API; new ones are dropped until members report again',
        ),
      );
      return;
    }
    const merged: Update = { ...known, userId: update.userId, groupId: update.groupId };
    for (const name of ['received', 'applied', 'read'] as const) {
      const value = Math.max(known?.[name] ?? -1, update[name] ?? -1);
      if (value >= 0) merged[name] = value;
    }
    waiting.set(key, merged);
  }

  /** Returns whether the API has taken them. */
  async function send(): Promise<boolean> {
    const batch = [...waiting.values()].slice(0, MAX_PER_REQUEST);
    for (const { groupId, userId } of batch) waiting.delete(`${groupId} ${userId}`);
    try {
      const { groups } = await deps.api.storeCursors({ cursors: batch });
      deps.onStored(batch, groups);
      return true;
    } catch (error) {
      if (isNotOffered(error)) {
        pausedUntil = performance.now() + NOT_OFFERED_PAUSE_MS;
        return false;
      }
      for (const update of batch) merge(update);
      warn('cursors', () =>
        deps.log.warn({ err: error, waiting: waiting.size }, 'unable to store cursors; trying again'),
      );
      return false;
    }
  }

  function flush(): void {
    if (performance.now() < pausedUntil) waiting.clear();
    if (sending || waiting.size === 0) return;
    sending = send().finally(() => {
      sending = undefined;
    });
  }

  const timer = setInterval(flush, INTERVAL_MS);
  timer.unref();

  return {
    report(userId, groupId, cursors) {
      merge({ userId, groupId, ...cursors });
    },
    async stop() {
      clearInterval(timer);
      await sending;
      const deadline = performance.now() + STOP_WITHIN_MS;
      while (waiting.size > 0 && performance.now() < deadline && (await send()));
    },
  };
}
