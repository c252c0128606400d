import type { SessionEnding } from '@groupcast/shared';
import type { RelaySocket } from './session.ts';

/**
 * Says why and what next, then closes. `stop` ends the Socket.IO session, which keeps a stock client away; for anything
 * else the connection underneath is closed, so that a stock client comes back by itself.
 */
export function endSession(socket: RelaySocket, ending: SessionEnding): void {
  socket.emit('session-ending', ending);
  if (ending.next === 'stop') socket.disconnect(true);
  else socket.conn.close();
}
