import type { RelaySocket } from './session.ts';
import { endSession } from './session-ending.ts';
import { tell } from './tell.ts';

/** How long before its token expires a client is told to refresh it, in seconds. */
const NOTICE_SECONDS = 30;
const TICK_MS = 500;

/**
 * Closes connections whose token has expired, after telling them to refresh it. There is one timer for all of them. The end of a token is a
 * time of day, and follows the wall clock when that is set; a grace period does not become longer by it.
 */
export interface SessionExpiry {
  /** Starts or, after a refresh, restarts the watch. */
  watch(socket: RelaySocket): void;
  /** Ends the session after that many seconds, unless the token is refreshed before. */
  endWithin(socket: RelaySocket, seconds: number): void;
  forget(socket: RelaySocket): void;
  stop(): void;
}

export function createSessionExpiry(
  now: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): SessionExpiry {
  /** Sockets by the second in which they have to be told or closed. */
  const due = new Map<number, Set<RelaySocket>>();
  const watched = new Map<RelaySocket, { second: number; noticed: boolean }>();

  /** Sockets that end at a moment, by a clock that only goes forward. */
  const granted = new Map<RelaySocket, number>();

  function schedule(socket: RelaySocket, second: number, noticed: boolean): void {
    const set = due.get(second) ?? new Set();
    due.set(second, set.add(socket));
    watched.set(socket, { second, noticed });
  }

  function forget(socket: RelaySocket): void {
    granted.delete(socket);
    const entry = watched.get(socket);
    if (!entry) return;
    watched.delete(socket);
    const set = due.get(entry.second);
    set?.delete(socket);
    if (set?.size === 0) due.delete(entry.second);
  }

  function end(socket: RelaySocket): void {
    forget(socket);
    const message = 'the token has expired; log in again, and connect with a new one';
    endSession(socket, { code: 'TOKEN_EXPIRED', message, next: 'reconnect', retryAfterMs: 0 });
  }

  function act(socket: RelaySocket): void {
    const { expiresAt } = socket.data.session.claims;
    const noticed = watched.get(socket)?.noticed === true;
    if (noticed || expiresAt <= now() / 1_000) {
      end(socket);
      return;
    }
    forget(socket);
    const message = `the token expires at ${new Date(expiresAt * 1_000).toISOString()}; send a new one with refresh-token`;
    tell(socket, 'session-ending', { code: 'TOKEN_EXPIRED', message, next: 'refresh-token', retryAfterMs: 0 });
    schedule(socket, expiresAt, true);
  }

  const timer = setInterval(() => {
    const second = now() / 1_000;
    for (const [at, sockets] of due) {
      if (at <= second) for (const socket of sockets) act(socket);
    }
    for (const [socket, at] of granted) if (at <= monotonic()) end(socket);
  }, TICK_MS);
  timer.unref();

  return {
    watch(socket) {
      forget(socket);
      const { issuedAt, expiresAt } = socket.data.session.claims;
      // Clients with a short token are told at the last third of its life.
      const notice = Math.min(NOTICE_SECONDS, Math.ceil((expiresAt - issuedAt) / 3));
      schedule(socket, Math.max(expiresAt - notice, Math.floor(now() / 1_000)), false);
    },
    endWithin(socket, seconds) {
      forget(socket);
      granted.set(socket, monotonic() + seconds * 1_000);
      const { expiresAt } = socket.data.session.claims;
      schedule(socket, expiresAt, true);
    },
    forget,
    stop() {
      clearInterval(timer);
    },
  };
}
