import type { ErrorBody } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import { closeSaying } from '../engine/web-socket-transport.ts';

/** WebSocket's close code "try again later". */
const TRY_AGAIN_LATER = 1013;
/** Longest reason that a close frame holds (RFC 6455, section 5.5), in bytes. */
const MAX_REASON_BYTES = 123;
/** Longest a refused connection waits before it is closed, in milliseconds. */
const MAX_HOLD_MS = 2_000;

/** Uses one byte per character, so that the text can be cut anywhere. */
function reasonOf({ code, message }: ErrorBody): string {
  return `${code}: ${message}`.replaceAll(/[^\x20-\x7e]/g, "'").slice(0, MAX_REASON_BYTES);
}

/**
 * Ends a connection whose refusal passes. A stock client stays away for good after a CONNECT_ERROR, and comes back by itself after its
 * connection was closed. A WebSocket reads the reason in its close frame.
 */
export function closeForNow(conn: EngineSocket, body: ErrorBody): void {
  closeSaying(conn, TRY_AGAIN_LATER, reasonOf(body));
}

/**
 * Does the same once the client has waited. If the refusal says when to come back, the connection is kept for about that long: a stock
 * client comes back a second after its connection has closed, whatever it was told, and a thousand of them would do so together.
 */
export function closeForNowLater(conn: EngineSocket, body: ErrorBody, closed: () => void): void {
  const holdMs = Math.min(body.retryAfterMs ?? 0, MAX_HOLD_MS) * (0.5 + Math.random() / 2);
  setTimeout(() => {
    closeForNow(conn, body);
    closed();
  }, holdMs).unref();
}
