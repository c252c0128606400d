import { userRoom } from '@groupcast/shared';
import { isUserSocket, type RelayServer, type UserSocket } from './session.ts';

/** Finds this node's connections by user, in Socket.IO's own rooms, so that there is no second book to keep. */
export interface ConnectionIndex {
  ofUser(userId: string): UserSocket[];
  countOfUser(userId: string): number;
}

export function createConnectionIndex(io: RelayServer): ConnectionIndex {
  const namespace = io.of('/');
  return {
    ofUser(userId) {
      const sockets: UserSocket[] = [];
      for (const id of namespace.adapter.rooms.get(userRoom(userId)) ?? []) {
        const socket = namespace.sockets.get(id);
        if (socket && isUserSocket(socket)) sockets.push(socket);
      }
      return sockets;
    },
    countOfUser(userId) {
      return namespace.adapter.rooms.get(userRoom(userId))?.size ?? 0;
    },
  };
}
