export type {
  Group,
  GroupEvent,
  GroupMember,
  GroupSummary,
  JsonObjectInput,
  Message,
  Position,
  User,
} from '@groupcast/shared';
export type { Api, GroupId, MembersChange, MessagesPage, UserId } from './api.ts';
export { createClient } from './client.ts';
export type {
  ClientEventMap,
  ClientOptions,
  ClientStats,
  GroupcastClient,
  GroupHandle,
  SendInput,
} from './client-types.ts';
export type { ConnectionSnapshot } from './connection.ts';
export type { ConnectionState } from './connection-states.ts';
export type { Clock, Logger } from './environment.ts';
export { ClientError, type ClientErrorCode } from './errors.ts';
export type { GroupsSnapshot } from './groups.ts';
export type { SentMessage } from './message-list.ts';
export type { MessagesHandle, MessagesSnapshot, ViewMessage } from './messages.ts';
export type { PendingMessage, Sending } from './outgoing.ts';
export type { TransientEvent } from './relay-session.ts';
export type { Readable } from './store.ts';
export type { GetToken } from './user-token.ts';
