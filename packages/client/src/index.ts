export type {
  Group,
  GroupEvent,
  GroupMember,
  GroupSummary,
  JsonObjectInput,
  Message,
  OwnUser,
  Position,
  ReceiptCounts,
  Sender,
  User,
} from '@groupcast/shared';
export type { MembersPage, Reach, ReceiptsPage } from './api/answers.ts';
export type {
  Api,
  GroupChange,
  GroupId,
  MembersChange,
  MessageChange,
  MessagesPage,
  NewGroup,
  ProfileChange,
  UserId,
} from './api/api.ts';
export type { GetToken } from './api/user-token.ts';
export type { Readable } from './base/store.ts';
export { createClient } from './client.ts';
export type { ConnectionState } from './connection/connection-states.ts';
export type { ConnectionSnapshot } from './connection/connection-status.ts';
export type { TransientEvent } from './connection/relay-session.ts';
export type { PresenceHandle, PresenceSnapshot } from './conversation/presence.ts';
export type { ReceiptsHandle, ReceiptsSnapshot } from './conversation/receipts.ts';
export type { TypingHandle } from './conversation/typing.ts';
export type { MessageNotification } from './conversation/viewing.ts';
export type { Clock, Logger } from './environment.ts';
export { ClientError, type ClientErrorCode } from './errors.ts';
export type { GroupsSnapshot } from './groups/groups.ts';
export type { SentMessage } from './messages/message-list.ts';
export type { MessagesHandle } from './messages/message-view.ts';
export type { MessagesSnapshot, ViewMessage } from './messages/messages-snapshot.ts';
export type { FailedMessage, PendingMessage, Sending, SendingMessage } from './messages/outgoing.ts';
export type {
  ClientEventMap,
  ClientOptions,
  ClientStats,
  GroupcastClient,
  GroupHandle,
  SendInput,
} from './types.ts';
