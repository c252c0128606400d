import type { Position } from '@groupcast/shared';

/** One event on its way to the members of a group. */
export interface OutgoingEvent {
  event: string;
  /** The flat payload, envelope included. */
  payload: object;
  position: Position | null;
}

export interface DeliveryExceptions {
  exceptSocketId?: string | undefined;
  exceptUserId?: string | undefined;
}

/** The last hop: from one event to every connection of this node that is a member. */
export interface FanOut {
  /** Hands the event to every local member's connection, in call order, and returns to how many. */
  deliver(groupId: string, event: OutgoingEvent, except?: DeliveryExceptions): number;
  /** Local connections in the group. */
  memberCount(groupId: string): number;
  /**
   * The position of the last event delivered to the group's local members, or `null` when there was none since the
   * first of them joined. Read it in the same turn as the answer that carries it.
   */
  delivered(groupId: string): Position | null;
}
