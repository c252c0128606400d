import { isUserSocket, type RelayServer } from '../relay-server.ts';
import { endSession } from './session-ending.ts';

/** Each connection is told to wait a random part of this, which grows with their number. */
const SPREAD_PER_CONNECTION_MS = 5;
const MAX_SPREAD_MS = 5_000;

/**
 * Ends every session, evenly spread over `drainMs`, each told when to come back, so that the relays
 * that remain meet a trickle and not a storm. Resolves when the last one is gone; at once if there is none.
 */
export async function drainConnections(io: RelayServer, drainMs: number): Promise<void> {
  // Back ends last: what they send reaches the members who are still here.
  const all = [...io.of('/').sockets.values()];
  const sockets = [...all.filter(isUserSocket), ...all.filter((socket) => !isUserSocket(socket))];
  if (sockets.length === 0) return;
  const spreadMs = Math.min(MAX_SPREAD_MS, sockets.length * SPREAD_PER_CONNECTION_MS);
  const startedAt = performance.now();
  let next = 0;
  await new Promise<void>((resolve) => {
    const step = (): void => {
      const progress = drainMs === 0 ? 1 : (performance.now() - startedAt) / drainMs;
      const until = Math.min(sockets.length, Math.ceil(progress * sockets.length) || 1);
      for (; next < until; next += 1) {
        const socket = sockets[next];
        if (!socket?.connected) continue;
        endSession(socket, {
          code: 'SERVER_DRAINING',
          message: 'the relay is stopping',
          next: 'reconnect',
          retryAfterMs: Math.floor(Math.random() * spreadMs),
        });
      }
      if (next < sockets.length) setTimeout(step, Math.min(50, drainMs / sockets.length));
      else if (io.engine.clientsCount === 0) resolve();
      else setTimeout(resolve, 100);
    };
    step();
  });
}

/** Tells every user to come back somewhere, each after a moment of its own. */
export function sendAway(io: RelayServer, why: { code: string; message: string }): void {
  for (const socket of io.of('/').sockets.values()) {
    if (!isUserSocket(socket)) continue;
    endSession(socket, { ...why, next: 'reconnect', retryAfterMs: Math.floor(Math.random() * MAX_SPREAD_MS) });
  }
}
