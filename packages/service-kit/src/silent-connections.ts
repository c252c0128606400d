import type { Socket } from 'node:net';

/** Connections from which something is read, and which have not sent the head of a request. */
export interface SilentConnections {
  /** The oldest one makes room for it if there are as many as may be. One that is not read yet counts from when it is. */
  add(socket: Socket): void;
  delete(socket: Socket): void;
}

export function createSilentConnections(max: number, makeRoom: (oldest: Socket) => void): SilentConnections {
  /** The oldest first. */
  const sockets = new Set<Socket>();

  function add(socket: Socket): void {
    if (socket.destroyed) return;
    const [oldest] = sockets;
    if (sockets.size >= max && oldest) makeRoom(oldest);
    sockets.add(socket);
  }
  function onResume(this: Socket): void {
    add(this);
  }

  return {
    add(socket) {
      // Those of a crowd are accepted first and read later, in turns: their requests may have come long before.
      if (socket.isPaused()) socket.once('resume', onResume);
      else add(socket);
    },
    delete(socket) {
      sockets.delete(socket);
      socket.off('resume', onResume);
    },
  };
}
