import type { SessionEnding } from '@groupcast/shared';
import type { RelaySocket } from './session.ts';
import { tell } from './tell.ts';

/**
 * Tells the client why the session ends and what to do next, then closes it. `stop` ends the Socket.IO session, which keeps a stock client
 * away; for anything else the connection underneath is closed, so that a stock client comes back by itself.
 */
export function endSession(socket: RelaySocket, ending: SessionEnding): void {
  tell(socket, 'session-ending', ending);
  if (ending.next === 'stop') socket.disconnect(true);
  else socket.conn.close();
}
