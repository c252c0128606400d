import type { JsonValue } from '../json.ts';
import type { GroupEvent } from './messaging.ts';

/*
 * Events of a conversation that have no position: they are for those who are there now, and none is repeated after a reconnect. The API
 * answers each state that they change.
 */

/** `typing`: a member begins, or has stopped. */
export interface Typing {
  groupId: string;
  userId: string;
  isTyping: boolean;
}

/** How far a member is, as `seq`. */
export interface MemberCursors {
  received?: number;
  read?: number;
}

/** How many members, the sender not counted, have received and read the message at `seq`. */
export interface ReceiptCounts {
  seq: number;
  received: number;
  read: number;
}

/**
 * `receipt`: the cursors that have moved, by user, in groups of up to 100 members; in larger ones only the sender of a message is told how
 * many have received and read their newest one, and among how many members, the sender included. An older relay does not say that.
 */
export type Receipt =
  | { groupId: string; users: Record<string, MemberCursors> }
  | { groupId: string; counts: ReceiptCounts; memberCount?: number };

/** `message-status`: how far a member is, by the newest message of others up to there. It is only for dialects that have a name for it. */
export interface MessageStatus {
  groupId: string;
  messageId: string;
  status: 'delivered' | 'read';
  userId: string;
}

/** `read-cursor`: the same user has read so far, on another connection. */
export interface ReadCursor {
  groupId: string;
  readSeq: number;
}

/** `notification`: something has happened in a group that this connection does not have on screen. */
export interface Notification {
  kind: 'message';
  groupId: string;
  /** The payload of `new-message`. */
  message: Omit<GroupEvent, 'event'>;
}

/** `signal`: from one member of a group to another, such as the offer of a call. */
export interface Signal {
  groupId: string;
  fromUserId: string;
  kind: string;
  data: JsonValue;
}
