import type { Dialect } from '@groupcast/dialects';
import type { Mark, Marks } from '../sessions/marks.ts';
import type { GroupPlace } from '../sessions/offsets.ts';
import type { RelayServer, RelaySocket } from '../sessions/session.ts';
import { tellAny } from '../sessions/tell.ts';
import { dialectOf, type Voice } from '../sessions/voices.ts';

/** An event as members get it. */
export interface WireEvent {
  name: string;
  payload: object;
  /** Its number among the deliveries of this node, if it is one, and its place in its group, if it has one. */
  number?: number;
  place?: GroupPlace;
}

export interface Exceptions {
  /** Connections that are left out. */
  socketIds: readonly string[];
  /** The event that those of them who are in the room get instead. */
  instead: WireEvent | undefined;
}

/** Brings an event from this node to the connections in a room. */
export interface Sender {
  /**
   * Sends to every connection that is in the room at this moment, not to those that come later in the turn. Every connection gets its
   * events in the order of the calls, and before anything else that is emitted to it after them. Returns the voices in which there was
   * nothing to say, if there are any.
   */
  send(room: string, event: WireEvent, exceptions?: Exceptions): ReadonlySet<Voice> | undefined;
  /** The dialects that the connections of the room speak. */
  dialectsIn(room: string): readonly Dialect[];
  /** Connections of the room are told its events in another way from now on. */
  forget(room: string): void;
  /**
   * Returns how long the oldest event that waits for its write has waited, in milliseconds; 0 if nothing waits. It takes the same time
   * however many wait.
   */
  lagMs: () => number;
  /** Returns a mark for the deliveries that have left for the connection's engine or wire. It may be a turn behind, and never ahead. */
  handedUpTo(socket: RelaySocket): Mark;
}

/** Sends through Socket.IO's own adapter: one encode per event, one write per member and event. */
export function createStockSender(io: RelayServer, marks: Marks): Sender {
  const { sockets, adapter } = io.of('/');
  return {
    send(room, { name, payload }, exceptions) {
      const target = exceptions ? io.to(room).except([...exceptions.socketIds]) : io.to(room);
      // The publisher chose the name; the map's types know only the relay's own events.
      target.emit(name as never, payload as never);
      const { instead, socketIds } = exceptions ?? { socketIds: [] };
      for (const id of instead ? socketIds : []) {
        const socket = sockets.get(id);
        if (socket && instead) tellAny(socket, instead.name, instead.payload);
      }
      return undefined;
    },
    dialectsIn(room) {
      const dialects = new Set<Dialect>();
      for (const id of adapter.rooms.get(room) ?? []) {
        const socket = sockets.get(id);
        if (socket) dialects.add(dialectOf(socket));
      }
      return [...dialects];
    },
    // The adapter looks each time.
    forget: () => undefined,
    // Every event is written at once.
    lagMs: () => 0,
    handedUpTo: () => marks.now(),
  };
}
