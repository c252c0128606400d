import type { ErrorBody } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import { closeReason } from '../engine/close-reason.ts';
import { isRaw } from '../engine/raw-frames.ts';
import { closeSaying } from '../engine/web-socket-transport.ts';

/** WebSocket's close code "try again later". */
const TRY_AGAIN_LATER = 1013;
/** Longest a refused connection waits before it is closed, in milliseconds. */
const MAX_HOLD_MS = 2_000;

/** Socket.IO's packet for a refused CONNECT. */
export function connectError(body: ErrorBody, namespace?: string): string {
  const nsp = namespace === undefined ? '' : `${namespace},`;
  return `4${nsp}${JSON.stringify({ message: body.message, data: body })}`;
}

/**
 * Ends a connection whose refusal passes. A stock client stays away for good after a CONNECT_ERROR, and comes back by itself after its
 * connection was closed. A WebSocket reads the reason in its close frame; a raw one, whose transport closes it, in a frame before that.
 */
export function closeForNow(conn: EngineSocket, body: ErrorBody): void {
  if (isRaw(conn)) {
    conn.write(connectError(body));
    conn.close();
  } else closeSaying(conn, TRY_AGAIN_LATER, closeReason(body));
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
