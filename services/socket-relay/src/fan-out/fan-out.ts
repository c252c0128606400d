import type { GroupHead, Position } from '@groupcast/shared';

/** One event on its way to the members of a group. */
export interface OutgoingEvent {
  event: string;
  id: string;
  /** The flat payload, envelope included. */
  payload: object;
  position: Position | null;
}

export interface DeliveryExceptions {
  exceptSocketId?: string | undefined;
  exceptUserId?: string | undefined;
}

/** The last hop: hands one event to every connection of this node that is a member. */
export interface FanOut {
  /**
   * Hands the event to every local member's connection, in the order of the calls, and returns their number. An event at or below the
   * group's cursor was handed over before, and goes to nobody. Excepted connections are told to step over it.
   */
  deliver(groupId: string, event: OutgoingEvent, except?: DeliveryExceptions): number;
  /** Tells every local member where the group stands. */
  announceHead(head: GroupHead): void;
  /** Returns the number of local connections in the group, without the excepted ones. */
  memberCount(groupId: string, except?: DeliveryExceptions): number;
  /** Returns what the local members call a group, all of them; the usual word where they differ, or there are none. */
  nounOf(groupId: string): string;
  /** Returns the names of the local members' dialects, if none of them has a name for the event; nothing where one has, or nobody is here. */
  wordlessFor(groupId: string, event: string, payload: object): string[];
  /** Returns the node's cursor: the last position that went by; `null` while nobody holds one, or nothing came yet. */
  cursor: (groupId: string) => Position | null;
  /** Keeps a cursor for a group that has no members yet, so that events that go by are noticed, until the result is called. */
  hold(groupId: string): () => void;
  /** Lets a connection in. If the node has no cursor for the group, `position` becomes it. */
  enter(socketId: string, groupId: string, position: Position | null): void;
  /** Moves the cursor without handing anything over: the events in between cannot be had here. */
  skipTo(groupId: string, position: Position): void;
  /** Whether the group has a cursor: members here, or some on their way in. */
  isWatched(groupId: string): boolean;
  /** Calls `listener` with each event that was handed to local members. There is one listener. */
  onDelivered(listener: (groupId: string, event: OutgoingEvent) => void): void;
  /** Calls `receiver` with each event of a group that has no members: it stands where their sockets would be. */
  addReceiver(groupId: string, receiver: (event: OutgoingEvent) => void): void;
  /** Calls `listener` with each group that is not watched any more. */
  onIdle(listener: (groupId: string) => void): void;
  /** Returns the groups whose cursor moved, and whose last move is at least `quietMs` ago; each once per quiet spell. */
  takeQuiet(quietMs: number): string[];
}
