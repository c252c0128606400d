import type { JsonObject } from '../json.ts';
import type { Position } from '../positions.ts';

/**
 * The user who has sent a message, with the profile that they had when it was read, or dispatched. An event that would be too large has the id
 * alone.
 */
export type Sender = {
  userId: string;
  name?: string;
  picture?: string;
  custom?: JsonObject;
};

/** A message as the API answers it and as `new-message` carries it. Times are ISO 8601 in UTC. */
export interface Message {
  id: string;
  groupId: string;
  epoch: string;
  seq: number;
  senderId: string;
  sender: Sender;
  /** `text` unless its sender said otherwise. */
  kind: string;
  content: string;
  createdAt: string;
  clientMessageId?: string;
  attachments?: JsonObject[];
  /** The application's own fields, at most `MAX_CUSTOM_BYTES` of UTF-8 JSON. */
  custom?: JsonObject;
  updatedAt?: string;
  /** Of a live message that is traced (W3C Trace Context): the span that it comes from. */
  traceparent?: string;
}

export interface GroupMember {
  userId: string;
  role: 'owner' | 'member';
  name?: string;
}

/** The fields of a user that users who share a group with them may read. */
export interface User {
  id: string;
  name?: string;
  picture?: string;
  custom?: JsonObject;
  /** When they were last connected, to about a minute; absent where they hide their presence, or share no group any more. */
  lastSeenAt?: string;
}

/** One's own profile. */
export interface OwnUser extends User {
  hidesPresence: boolean;
}

export interface Group {
  id: string;
  name: string | null;
  kind: 'group' | 'direct';
  /** The first 100 by the time they joined; `GET …/members` has all, by pages. */
  members: GroupMember[];
  memberCount: number;
  createdAt: string;
  position: Position;
  /** Days after which the group's history is removed, where it has a setting of its own. */
  retentionDays?: number;
  /** The application's own fields, at most `MAX_CUSTOM_BYTES` of UTF-8 JSON. */
  custom?: JsonObject;
}

/** A group as the list shows it. `unreadCount`: messages by others above `readSeq`, one's own read cursor. */
export interface GroupSummary extends Omit<Group, 'members'> {
  unreadCount: number;
  readSeq: number;
  lastMessage: Message | null;
}

/** One positioned event of a group: as on the socket, plus `event`, its name. */
export interface GroupEvent extends JsonObject {
  event: string;
  id: string;
  groupId: string;
  epoch: string;
  seq: number;
}
