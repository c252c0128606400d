import type { RelayServer } from '../sessions/session.ts';

/** An event as members get it. */
export interface WireEvent {
  name: string;
  payload: object;
}

export interface Exceptions {
  /** Connections that are left out. */
  socketIds: readonly string[];
  /** What those of them who are in the room get in its place. */
  instead: WireEvent | undefined;
}

/** How an event gets from this node to the connections in a room. */
export interface Sender {
  /**
   * To everybody who is in the room at this moment, not to who comes later in the turn. Every connection gets what is meant for
   * it in the order of the calls, and before anything else that is emitted to it after them.
   */
  send(room: string, event: WireEvent, exceptions?: Exceptions): void;
  /** How long what has waited longest for its write has waited, in milliseconds; 0 where nothing waits. Costs the same however much that is. */
  lagMs: () => number;
}

/** Through Socket.IO's own adapter: one encode per event, one write per member and event. */
export function createStockSender(io: RelayServer): Sender {
  const { sockets } = io.of('/');
  return {
    send(room, { name, payload }, exceptions) {
      const target = exceptions ? io.to(room).except([...exceptions.socketIds]) : io.to(room);
      // The publisher chose the name; the map's types know only the relay's own events.
      target.emit(name as never, payload as never);
      const { instead, socketIds } = exceptions ?? { socketIds: [] };
      if (instead) for (const id of socketIds) sockets.get(id)?.emit(instead.name as never, instead.payload as never);
    },
    // Everything is written at once.
    lagMs: () => 0,
  };
}
