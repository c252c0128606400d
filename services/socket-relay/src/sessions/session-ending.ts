import type { SessionEnding } from '@groupcast/shared';
import type { RelaySocket } from './session.ts';
import { tell } from './tell.ts';

/** A transport that closes with a code and a reason of its own. */
interface ReasonedTransport {
  noteEnding?(ending: SessionEnding): void;
}

/** Tells the client why the session ends, in the words of its dialect and, where its transport has one, in the reason of the close. */
export function tellEnding(socket: RelaySocket, ending: SessionEnding): void {
  (socket.conn.transport as ReasonedTransport).noteEnding?.(ending);
  tell(socket, 'session-ending', ending);
}

/**
 * Tells the client why the session ends and what to do next, then closes it. `stop` ends the Socket.IO session, which keeps a stock client
 * away; for anything else the connection underneath is closed, so that a stock client comes back by itself.
 */
export function endSession(socket: RelaySocket, ending: SessionEnding): void {
  tellEnding(socket, ending);
  socket.data.ended = ending.code;
  if (ending.next === 'stop') socket.disconnect(true);
  else socket.conn.close();
}
