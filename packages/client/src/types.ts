import type { GroupEvent, GroupSummary, JsonObjectInput, Position } from '@groupcast/shared';
import type { Api, GroupId } from './api/api.ts';
import type { GetToken } from './api/user-token.ts';
import type { Readable } from './base/store.ts';
import type { ConnectionSnapshot } from './connection/connection-status.ts';
import type { SocketIo, Transport } from './connection/relay-link.ts';
import type { TransientEvent } from './connection/relay-session.ts';
import type { Clock, Logger } from './environment.ts';
import type { GroupsSnapshot } from './groups/groups.ts';
import type { MessagesHandle } from './messages/message-view.ts';
import type { Sending } from './messages/outgoing.ts';

/** Times are milliseconds. */
export interface ClientOptions {
  /** Where the messaging API is, without `/api`; `''` is the page's own origin. */
  apiUrl: string;
  /** Where the relay is; by default where the API says. A path is taken as a prefix of `/socket.io/`. */
  relayUrl?: string | undefined;
  /** The user's token for the API. Asked before the first request, shortly before a JWT expires, and when one was refused. */
  getToken: GetToken;
  /**
   * Connects by itself, in the next turn. Default: where there is a window. A client that is made on a server, such as by a module that
   * is rendered there, connects nowhere and keeps no process alive; its `connection` says `NO_WINDOW`.
   */
  autoConnect?: boolean | undefined;
  /** Messages in one page. Default 50, at most 200. */
  pageSize?: number | undefined;
  /** How long a gap may close by itself before it is asked for. Default 150. */
  gapHoldMs?: number | undefined;
  /** Without a connection for this long, the API is polled. Default 10,000. */
  pollAfterMs?: number | undefined;
  /** Between two polls. Default 3,000; a quarter more or less at random. */
  pollIntervalMs?: number | undefined;
  /** How long a message is tried before it fails. Default 120,000. */
  sendTimeoutMs?: number | undefined;
  /** At most one report of cursors in this time. Default 1,000. */
  cursorIntervalMs?: number | undefined;
  /** How long one attempt to connect may take. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** Shortest and longest delay between attempts; doubled after each, less up to three quarters at random. Default 1,500 and 10,000. */
  reconnectMinMs?: number | undefined;
  reconnectMaxMs?: number | undefined;
  /** Default WebSocket, then long-polling. */
  transports?: readonly Transport[] | undefined;
  /** Default: warnings and errors to the console. */
  logger?: Logger | undefined;
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  io?: SocketIo | undefined;
  /** Where `online`, `offline`, `pageshow` and `visibilitychange` are heard. Default the window, if there is one. */
  eventTarget?: EventTarget | undefined;
}

/** Counts since the client was made. An event is counted once, where it came from first. */
export interface ClientStats {
  /** Came over the socket by itself. */
  live: number;
  /** Asked of the relay's log. */
  recovered: number;
  /** Asked of the API. */
  fetched: number;
  /** Those of `fetched` that polling found: what the socket never delivered. */
  missedFoundByPoll: number;
  /** Dropped, because they were here before. */
  duplicates: number;
}

export interface ClientEventMap {
  /** Every positioned event of every group, once, in the order of its group. */
  event: GroupEvent;
  /** Events without a position, as they come. */
  transient: TransientEvent;
  /** The group was started over (another epoch): what was built from its events has to be read again. */
  reset: { groupId: string; position: Position };
  /** The user is no longer in the group. */
  left: { groupId: string };
}

export interface SendInput {
  content: string;
  /** Plain JSON objects; an ordinary interface will do. */
  attachments?: readonly JsonObjectInput[] | undefined;
  /** Default a random one. Must not be used twice in a group, but for the same message. */
  clientMessageId?: string | undefined;
}

export interface GroupHandle extends Readable<GroupSummary | undefined> {
  readonly id: string;
  /** The group's events, once, in order. Returns how to stop. */
  onEvent: (listener: (event: GroupEvent) => void) => () => void;
  readonly messages: MessagesHandle;
  send: (message: string | SendInput) => Sending;
  markRead: (seq?: number) => void;
}

/**
 * One user's groups, kept current. Whatever the connection does, each event of each group is delivered once and in order,
 * on screen or not. Numbers are taken for group ids as well; inside and in every event they are strings.
 */
export interface GroupcastClient {
  /** From the token; `undefined` until there is one. */
  readonly userId: string | undefined;
  readonly connection: Readable<ConnectionSnapshot>;
  readonly groups: Readable<GroupsSnapshot> & { refresh(): Promise<boolean> };
  /** Unread messages of all groups together. */
  readonly unread: Readable<number>;
  /** The HTTP API with this client's token: groups and their members, users' names, edit and delete messages. Effects come back as events. */
  readonly api: Api;
  stats: () => ClientStats;
  group: (groupId: GroupId) => GroupHandle;
  /** The messages of a group, newest page first read when somebody subscribes. The same handle for the same group. */
  messages: (groupId: GroupId) => MessagesHandle;
  /** Shows the message at once as `sending`, and returns without waiting. Order within a group is kept. */
  send: (groupId: GroupId, message: string | SendInput) => Sending;
  /** Sends a failed message again. Throws a `TypeError` if it has not failed. */
  retry: (clientMessageId: string) => Sending;
  /** Takes a failed message away. */
  discard: (clientMessageId: string) => void;
  /** Everything up to `seq` was read; by default, everything there is. */
  markRead: (groupId: GroupId, seq?: number) => void;
  on: <K extends keyof ClientEventMap>(name: K, listener: (payload: ClientEventMap[K]) => void) => () => void;
  /** Starts, or starts again after `ended`; while it waits, tries at once. Throws after `close()`. */
  connect: () => void;
  /** For good: no timer, no request, no listener remains. Messages on their way fail with `CLOSED`. */
  close: () => void;
}
