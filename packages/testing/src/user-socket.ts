import { io, type Socket } from 'socket.io-client';
import { tokenFor } from './tokens.ts';

/** A stock Socket.IO client of this user, on a connection of its own. */
export async function connectAs(relayUrl: string, userId: string): Promise<Socket> {
  const auth = { token: await tokenFor(userId) };
  return io(relayUrl, { forceNew: true, transports: ['websocket'], auth });
}
