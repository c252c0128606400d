import type { JsonObject } from '../json.ts';
import type { Position } from '../positions.ts';

/** The sender of a message, as those who may read it may see them. A type, because an interface is no JSON object to the compiler. */
export type MessageSender = {
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
  content: string;
  createdAt: string;
  clientMessageId?: string;
  attachments?: JsonObject[];
  updatedAt?: string;
  sender?: MessageSender;
  /** `text` unless its sender says otherwise; `call` for a call that has ended. */
  kind?: string;
  /** Of the application's own, at most 4 KB. */
  custom?: JsonObject;
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
  /** When the user was last connected; ISO 8601 in UTC. Users who hide their presence have none. */
  lastSeenAt?: string;
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
  /** Of the application's own, at most 4 KB. */
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
