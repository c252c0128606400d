import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** The state of a connection that speaks HTTP, or has been upgraded and is not settled yet. */
export interface Wire {
  /** `silent`: has not sent the head of a request; `idle`: is kept alive for the next one. */
  state: 'silent' | 'busy' | 'idle' | 'upgraded';
  /** The monotonic time at which it entered this state. */
  since: number;
  /** Requests that are being answered on it. */
  requests: number;
  /** The last one. */
  request: IncomingMessage | undefined;
  response: ServerResponse | undefined;
  /** When its answer was first seen to have begun. */
  answeringSince: number | undefined;
}

export function createWire(state: Wire['state'], since: number): Wire {
  return { state, since, requests: 0, request: undefined, response: undefined, answeringSince: undefined };
}

/** Milliseconds after which a connection counts as unused: over any network, a useful one has sent something by then. */
const SILENT_MS = 1_000;
const RECEIVING_MS = 2_000;
const UNSETTLED_MS = 2_000;
const UNREAD_MS = 5_000;
const IDLE_MS = 1_000;

/**
 * Which connections make room for another one, the lowest first, and among equals the one that has been so for longest. A connection
 * that says nothing goes first, then one whose request does not arrive, an upgraded one that is nobody's, one that does not read
 * its answer, one that is kept alive for a next request. One that has only just come goes last: its request may be on the way.
 * `undefined`: it does what it is here for, and stays. `isWaiting`: whether a request that is being served is nobody's, such as a long poll
 * without a token.
 */
export function rankOf(
  wire: Wire,
  socket: Socket,
  now: number,
  isWaiting?: (request: IncomingMessage) => boolean,
): number | undefined {
  const age = now - wire.since;
  switch (wire.state) {
    case 'silent':
      return age >= SILENT_MS ? 0 : 5;
    case 'busy':
      if (age >= UNSETTLED_MS && wire.request && isWaiting?.(wire.request)) return 2;
      if (wire.request?.complete === false) return age >= RECEIVING_MS ? 1 : undefined;
      return wire.response?.headersSent && socket.writableLength > 0 && age >= UNREAD_MS ? 3 : undefined;
    case 'upgraded':
      return age >= UNSETTLED_MS ? 2 : undefined;
    case 'idle':
      return age >= IDLE_MS ? 4 : undefined;
    default:
      return wire.state satisfies never;
  }
}

/** Whether the answers that a connection is given are read in time. To be asked often: it notes when it sees one begin. */
export function isRead(wire: Wire, socket: Socket, now: number, withinMs: number): boolean {
  const isAnswering = wire.state === 'busy' && wire.response?.headersSent === true && socket.writableLength > 0;
  wire.answeringSince = isAnswering ? (wire.answeringSince ?? now) : undefined;
  return wire.answeringSince === undefined || now - wire.answeringSince <= withinMs;
}

/** Whether we have ended the connection, and the peer has not closed it. */
export function isEndedByUs(socket: Socket): boolean {
  return socket.writableEnded;
}
