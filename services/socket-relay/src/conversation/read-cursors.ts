import type { Transient } from '../transient/transient.ts';
import type { Audience } from './audience.ts';

/** Tells the other connections of a user how far the user has read, so that a group is read in all windows at once. */
export interface ReadCursors {
  /** The user has read so far, on this connection if it is one of the relay's. */
  moved(groupId: string, userId: string, readSeq: number, exceptSocketId?: string): void;
}

export function createReadCursors(deps: { transient: Transient; audience: Audience }): ReadCursors {
  const { transient, audience } = deps;
  transient.on('read-cursor', ({ groupId, userId, readSeq, exceptSocketId }) => {
    const sockets = audience.ofUser(groupId, userId, exceptSocketId);
    for (const socket of sockets) socket.emit('read-cursor', { groupId, readSeq });
    return sockets.length;
  });
  return {
    moved(groupId, userId, readSeq, exceptSocketId) {
      const except = exceptSocketId === undefined ? {} : { exceptSocketId };
      transient.tell('read-cursor', { groupId, userId, readSeq, ...except });
    },
  };
}
