import type { RelaySocket } from '../sessions/session.ts';

/** How often a client may try another token on the connection it has. */
const MAX_REFUSALS = 3;

/**
 * Allows one CONNECT per connection at a time: a client that sends many of them while the first is still being checked would become many
 * sockets. `enter` says whether this attempt may go on. If not, the connection is closed, and the caller has to end the attempt, because
 * Socket.IO keeps each until its middleware has answered.
 */
export function createOneConnect(): { enter(socket: RelaySocket): boolean; refused(socket: RelaySocket): void } {
  const attempts = new WeakMap<object, { busy: boolean; refusals: number }>();
  return {
    enter(socket) {
      const state = attempts.get(socket.conn) ?? { busy: false, refusals: 0 };
      if (state.busy || state.refusals >= MAX_REFUSALS) {
        socket.conn.close();
        return false;
      }
      state.busy = true;
      attempts.set(socket.conn, state);
      return true;
    },
    refused(socket) {
      const state = attempts.get(socket.conn);
      if (!state) return;
      state.busy = false;
      state.refusals += 1;
    },
  };
}
