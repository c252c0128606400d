import type { GroupEvent, GroupSummary, JsonObjectInput, Message, Position } from '@groupcast/shared';
import type { Api, GroupId, MessageChange } from './api/api.ts';
import type { GetToken } from './api/user-token.ts';
import type { Readable } from './base/store.ts';
import type { ConnectionSnapshot } from './connection/connection-status.ts';
import type { PeerSignal } from './connection/peer-signal.ts';
import type { SocketIo, Transport } from './connection/relay-link.ts';
import type { TransientEvent } from './connection/relay-session.ts';
import type { PresenceHandle } from './conversation/presence.ts';
import type { ReceiptsHandle } from './conversation/receipts.ts';
import type { TypingHandle } from './conversation/typing.ts';
import type { MessageNotification } from './conversation/viewing.ts';
import type { Clock, Logger } from './environment.ts';
import type { GroupsSnapshot } from './groups/groups.ts';
import type { MessagesHandle } from './messages/message-view.ts';
import type { Sending } from './messages/outgoing.ts';

/** The options of a client. Times are in milliseconds. */
export interface ClientOptions {
  /** The messaging API's address, without `/api`; `''` is the page's own origin. */
  apiUrl: string;
  /** The relay's address; by default the one that the API names. A path is taken as a prefix of `/socket.io/`. */
  relayUrl?: string | undefined;
  /** Answers the user's token for the API. It is called before the first request, shortly before a JWT expires, and after a refusal. */
  getToken: GetToken;
  /**
   * Whether the client connects by itself, in the next turn. Default: where there is a window. A client that is made on a server, such as
   * by a module that is rendered there, connects nowhere and keeps no process alive; its `connection` says `NO_WINDOW`.
   */
  autoConnect?: boolean | undefined;
  /** Whether the relay tells of messages in groups that are not on screen: `client.notifications`. Default false. */
  notifications?: boolean | undefined;
  /** Messages in one page. Default 50, at most 200. */
  pageSize?: number | undefined;
  /** How long a gap may close by itself before it is asked for. Default 150. */
  gapHoldMs?: number | undefined;
  /** Time without a connection after which the API is polled. Default 10,000. */
  pollAfterMs?: number | undefined;
  /** Time between two polls. Default 3,000; a quarter more or less at random. */
  pollIntervalMs?: number | undefined;
  /** How long a message is tried before it fails. Default 120,000. */
  sendTimeoutMs?: number | undefined;
  /** Shortest time between two reports of cursors. Default 1,000. */
  cursorIntervalMs?: number | undefined;
  /** How long one attempt to connect may take. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** Shortest and longest delay between attempts; doubled after each, less up to three quarters at random. Default 1,500 and 10,000. */
  reconnectMinMs?: number | undefined;
  reconnectMaxMs?: number | undefined;
  /** Transports in the order in which they are tried. Default WebSocket, then long-polling. */
  transports?: readonly Transport[] | undefined;
  /** Receives the client's log lines. Default: warnings and errors go to the console. */
  logger?: Logger | undefined;
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  io?: SocketIo | undefined;
  /** The target of `online`, `offline`, `pageshow` and `visibilitychange`. Default the window, if there is one. */
  eventTarget?: EventTarget | undefined;
}

/** Counts since the client was made. An event is counted once, where it came from first. */
export interface ClientStats {
  /** Events that came over the socket by themselves. */
  live: number;
  /** Events from the relay's log. */
  recovered: number;
  /** Events from the API. */
  fetched: number;
  /** Events of `fetched` that polling found, because the socket never delivered them. */
  missedFoundByPoll: number;
  /** Events that were dropped, because they were here before. */
  duplicates: number;
}

export interface ClientEventMap {
  /** Every positioned event of every group, once, in the order of its group. */
  event: GroupEvent;
  /** Events without a position, as they come. */
  transient: TransientEvent;
  /** The group was started over, in another epoch: everything that was built from its events has to be read again. */
  reset: { groupId: string; position: Position };
  /** The user is no longer in the group. */
  left: { groupId: string };
}

export interface SendInput {
  content: string;
  /** Plain JSON objects; an ordinary interface will do. */
  attachments?: readonly JsonObjectInput[] | undefined;
  /** Of the application's own: a plain JSON object of at most 4 KB. */
  custom?: JsonObjectInput | undefined;
  /** 1-32 lower case letters, digits and hyphens. Default `text`. */
  kind?: string | undefined;
  /** Default a random one. In a group it must not be used twice, except for the same message. */
  clientMessageId?: string | undefined;
}

export interface GroupHandle extends Readable<GroupSummary | undefined> {
  readonly id: string;
  /** Calls the listener with the group's events, once and in order. Returns a function that stops it. */
  onEvent: (listener: (event: GroupEvent) => void) => () => void;
  readonly messages: MessagesHandle;
  send: (message: string | SendInput) => Sending;
  markRead: (seq?: number) => void;
}

/**
 * Keeps one user's groups current. However the connection behaves, each event of each group is delivered once and in order, on screen or
 * not. Group ids may be given as numbers as well; inside and in every event they are strings.
 */
export interface GroupcastClient {
  /** The user's id from the token; `undefined` until there is one. */
  readonly userId: string | undefined;
  readonly connection: Readable<ConnectionSnapshot>;
  readonly groups: Readable<GroupsSnapshot> & { refresh(): Promise<boolean> };
  /** Unread messages of all groups together. */
  readonly unread: Readable<number>;
  /** The HTTP API with this client's token: groups and their members, users' names, edit and delete messages. Effects come back as events. */
  readonly api: Api;
  stats: () => ClientStats;
  group: (groupId: GroupId) => GroupHandle;
  /** The messages of a group. The newest page is read for the first listener. The same group has the same handle. */
  messages: (groupId: GroupId) => MessagesHandle;
  /** Shows the message at once as `sending`, and returns without waiting. Order within a group is kept. */
  send: (groupId: GroupId, message: string | SendInput) => Sending;
  /** Sends a failed message again. Throws a `TypeError` if it has not failed. */
  retry: (clientMessageId: string) => Sending;
  /** Takes a failed message away. */
  discard: (clientMessageId: string) => void;
  /**
   * Changes the text of an own message, or its `custom`, and shows that at once. Rejects with a `ClientError` where it is refused, and what
   * was there before is back.
   */
  editMessage: (groupId: GroupId, messageId: string, change: string | MessageChange) => Promise<Message>;
  /** Takes a message away at once. Rejects with a `ClientError` where that is refused, and the message is back. */
  deleteMessage: (groupId: GroupId, messageId: string) => Promise<void>;
  /** The members who type in a group, and how to say that this user does. */
  typing: (groupId: GroupId) => TypingHandle;
  /** How far the members of a group are, read for the first listener. The `status` of own messages follows from it. */
  receipts: (groupId: GroupId) => ReceiptsHandle;
  /** The members of a group who are connected; the relay is asked for the first listener. */
  presence: (groupId: GroupId) => PresenceHandle;
  /** Messages in groups that are not on screen, where `notifications` is true. */
  readonly notifications: { subscribe(listener: (notification: MessageNotification) => void): () => void };
  /** Says which group is on screen, so that nothing notifies of it; `null`: none. It is said again on every connection. */
  viewGroup: (groupId: GroupId | null) => void;
  /** Marks everything up to `seq` as read; by default, everything there is. */
  markRead: (groupId: GroupId, seq?: number) => void;
  /**
   * Sends `data` to the connections of another member of the group, once and now: they get it as the transient event `signal`. Answers how
   * many it has reached. Rejects with a `ClientError`.
   */
  signal: PeerSignal;
  on: <K extends keyof ClientEventMap>(name: K, listener: (payload: ClientEventMap[K]) => void) => () => void;
  /** Starts, or starts again after `ended`; while it waits, tries at once. Throws after `close()`. */
  connect: () => void;
  /** Ends the client for good: no timer, request or listener remains. Messages that are being sent fail with `CLOSED`. */
  close: () => void;
}
