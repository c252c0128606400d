import type { Position } from '@groupcast/shared';
import type { Socket } from 'socket.io-client';
import type { SocketIo } from './connection/relay-link.ts';

/** Internal. A name and not an object of its own: the doctor may come from another copy of this package. */
export const DOOR: unique symbol = Symbol.for('@groupcast/client door');

/** The doctor's way into a client. Nothing in the client depends on its use. */
export interface Door {
  /** Calls the listener with the client's socket, and with each later one before it connects. Returns a function that stops it. */
  onSocket: (listener: (socket: Socket) => void) => () => void;
  positionOf: (groupId: string) => Position | null;
}

/** Shows the sockets that `io` makes to those who listen. */
export function openDoor(io: SocketIo, positionOf: Door['positionOf']): { io: SocketIo; door: Door } {
  const listeners = new Set<(socket: Socket) => void>();
  let last: Socket | undefined;
  return {
    io: ((...call: Parameters<SocketIo>) => {
      const socket = io(...call);
      last = socket;
      for (const listener of listeners) listener(socket);
      return socket;
    }) as SocketIo,
    door: {
      onSocket(listener) {
        listeners.add(listener);
        if (last) listener(last);
        return () => void listeners.delete(listener);
      },
      positionOf,
    },
  };
}
