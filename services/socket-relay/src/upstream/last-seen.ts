import type { Logger } from '@groupcast/service-kit';
import { INTERNAL_LIMITS } from '@groupcast/shared';
import { isUserSocket, type RelayServer, type UserSocket } from '../sessions/session.ts';
import type { ApiClient } from './api-client.ts';

/** How often users who have come or gone are told to the back end, in milliseconds. */
const REPORT_MS = 5_000;
/** How often everybody who is connected is, in milliseconds: a relay that dies cannot say that they were there until then. */
const REFRESH_MS = 5 * 60_000;
/** How long a back end that did not take a report is told nothing, in milliseconds. */
const PAUSE_MS = 30_000;
/** Most users that wait to be told. One who is left out is told with the next refresh, or on coming or going again. */
const MAX_WAITING = 100_000;

/**
 * Tells the back end who is connected, and who was until a moment ago, so that it can say when users were last seen. Those who hide their
 * presence are never named. A report that fails is dropped: a later one says more.
 */
export interface LastSeen {
  /** The user of this connection has come, or has gone. */
  seen(socket: UserSocket): void;
  /** Tells what waits. */
  stop(): Promise<void>;
}

export function createLastSeen(deps: {
  io: RelayServer;
  api: Pick<ApiClient, 'storeSeen'>;
  log: Logger;
  now?: () => number;
}): LastSeen {
  const { io, api, log, now = () => performance.now() } = deps;
  const waiting = new Set<string>();
  let refreshedAt = now();
  let pausedUntil = Number.NEGATIVE_INFINITY;
  let sending: Promise<void> | undefined;

  function seen({ data: { session } }: UserSocket): void {
    if (session.claims.presence !== false && waiting.size < MAX_WAITING) waiting.add(session.userId);
  }

  function takeSome(): string[] {
    const userIds: string[] = [];
    for (const userId of waiting) {
      waiting.delete(userId);
      userIds.push(userId);
      if (userIds.length === INTERNAL_LIMITS.seenUsers) break;
    }
    return userIds;
  }

  async function send(): Promise<void> {
    try {
      while (waiting.size > 0) {
        await api.storeSeen({ userIds: takeSome() });
      }
    } catch (error) {
      pausedUntil = now() + PAUSE_MS;
      log.debug({ err: error }, 'unable to tell the back end who is connected');
    }
  }

  function report(): void {
    if (now() - refreshedAt >= REFRESH_MS) {
      refreshedAt = now();
      for (const socket of io.of('/').sockets.values()) if (isUserSocket(socket)) seen(socket);
    }
    if (sending || waiting.size === 0 || now() < pausedUntil) return;
    sending = send().finally(() => {
      sending = undefined;
    });
  }

  const timer = setInterval(report, REPORT_MS);
  timer.unref();

  return {
    seen,
    async stop() {
      clearInterval(timer);
      await sending;
      report();
      await sending;
    },
  };
}
