import {
  type Answer,
  type AwaitDeliveryInput,
  type BatchResult,
  type BroadcastInput,
  type BroadcastResult,
  type Delivery,
  type DisconnectInput,
  type GetPresenceInput,
  type MembersInput,
  type NotifyInput,
  type PresenceResult,
  type RelayTrace,
  type RemoveMembersInput,
  type StoredCursorsInput,
  TRACE_LIMITS,
  type TraceQueryInput,
} from '@groupcast/shared';
import { signServiceToken } from '@groupcast/tokens';
import { type ConnectionState, createRelayConnection } from './relay-connection.ts';
import { readRelayUrl } from './relay-url.ts';

export interface BroadcasterOptions {
  /** The relay's public URL, such as `http://localhost:3001`; behind a path of a larger site, with that path. */
  url: string;
  /** `RELAY_SERVICE_SECRET`: short service tokens of scope `broadcast` are signed with it. */
  serviceSecret?: string | undefined;
  /** Instead of the secret: returns a service token with scope `broadcast`; asked on every connect and refresh. */
  tokenProvider?: (() => Promise<string> | string) | undefined;
  /** How this back end is called in the relay's logs. Default `broadcaster`. */
  name?: string | undefined;
  /** How long one call may take, reconnecting included, in milliseconds. Default 10,000. `withinMs` of those who are expected comes on top. */
  timeoutMs?: number | undefined;
  /** Most calls waiting for an acknowledgement; further ones are rejected at once. Default 10,000. */
  maxPending?: number | undefined;
  /** Called on every change of the connection; `refused` carries the relay's reason. */
  onStateChange?: ((state: ConnectionState) => void) | undefined;
}

export type BatchItemResult = Answer<BroadcastResult>;

/**
 * Sends to the relay over one connection. Calls leave in the order they were made, and those without an answer are
 * sent again, in that order, after a reconnect: each carries an id, so the relay drops the second copy.
 *
 * Every method rejects with a `GroupcastError` whose `retryable` says whether the same call may succeed later:
 * `RELAY_UNAVAILABLE` when no answer came in time, otherwise the relay's own code. While the relay refuses the service token, that is the
 * answer to every call, at once; the connection is tried again all the same.
 */
export interface Broadcaster {
  readonly connected: boolean;
  /** Resolves once the relay has accepted the message; `id` and `groupId` may be numbers. Without `id` one is made. */
  broadcastMessage(input: BroadcastInput): Promise<BroadcastResult>;
  /** At most 1,000 items and 900 KB. One result per item, in order: a bad item fails alone. */
  broadcastBatch(items: BroadcastInput[]): Promise<BatchItemResult[]>;
  /** Sends to every connection of these users, in no group and with no position; nothing is kept for users who are offline. */
  notifyUsers(input: NotifyInput): Promise<{ recipients: number }>;
  /** Resolves once every live connection of these users is in the group. */
  addMembers(input: MembersInput): Promise<void>;
  /**
   * Resolves once no live connection of these users is in the group; older tokens will not bring them back. `everyone: true`
   * instead of `userIds` removes every user from the group with one change.
   */
  removeMembers(input: RemoveMembersInput): Promise<void>;
  /** Shows what the back end has stored of how far members are: receipts to their groups, and reads to their own connections. */
  updateCursors(input: StoredCursorsInput): Promise<void>;
  disconnectUsers(input: DisconnectInput): Promise<{ connections: number }>;
  /** Resolves to the users who have connections in the group, but those who hide it. */
  getPresence(input: GetPresenceInput): Promise<PresenceResult & { groupId: string }>;
  /** Resolves to where one event is, as far as the relays know it: its hops, and how far it is for users. */
  getTrace(input: TraceQueryInput): Promise<RelayTrace>;
  /** Resolves once the event has reached everybody who is expected, or after `withinMs`, to those whom it has reached and the others. */
  awaitDelivery(input: AwaitDeliveryInput): Promise<Delivery>;
  /** Rejects what is still waiting, and closes the connection. */
  close(): Promise<void>;
}

/** The message's own id where it has one, so that a caller's retry of the whole call is recognised too. */
function withId(input: BroadcastInput): BroadcastInput {
  // The relay refuses malformed input, with a code.
  if (!input?.message || input.id !== undefined) return input;
  const own = (input.event ?? 'new-message') === 'new-message' ? (input.message['id'] as unknown) : undefined;
  if (own === undefined) return { ...input, id: crypto.randomUUID() };
  return typeof own === 'string' || typeof own === 'number' ? { ...input, id: own } : input;
}

/** How long the relay may wait for those who are expected before it answers, in milliseconds. A time that it refuses is none. */
function deliveryMs(input: Pick<BroadcastInput, 'expectedUserIds' | 'withinMs'> | undefined): number {
  if (!input?.expectedUserIds) return 0;
  const { withinMs = TRACE_LIMITS.defaultWithinMs } = input;
  return withinMs >= TRACE_LIMITS.minWithinMs && withinMs <= TRACE_LIMITS.maxWithinMs ? withinMs : 0;
}

export function createBroadcaster(options: BroadcasterOptions): Broadcaster {
  const { serviceSecret, tokenProvider, name = 'broadcaster', timeoutMs = 10_000 } = options;
  if (!serviceSecret && !tokenProvider) throw new TypeError('createBroadcaster needs serviceSecret or tokenProvider');
  const getToken =
    tokenProvider ?? (() => signServiceToken({ secret: serviceSecret ?? '', scopes: ['broadcast'], subject: name }));

  const connection = createRelayConnection({
    url: readRelayUrl(options.url),
    getToken,
    // A secret makes the same token again; a provider may have returned one that has expired since.
    maxRefusals: tokenProvider ? 2 : 1,
    timeoutMs,
    maxPending: options.maxPending ?? 10_000,
    onStateChange: options.onStateChange ?? (() => undefined),
  });

  return {
    get connected() {
      return connection.connected;
    },
    async broadcastMessage(input) {
      return connection.call<BroadcastResult>('api-broadcast-message', withId(input), timeoutMs + deliveryMs(input));
    },
    async broadcastBatch(items) {
      const payload = { items: items.map(withId) };
      const longestMs = items.reduce((longest, item) => Math.max(longest, deliveryMs(item)), 0);
      const { results } = await connection.call<BatchResult>('api-broadcast-batch', payload, timeoutMs + longestMs);
      return results;
    },
    async notifyUsers(input) {
      return connection.call<{ recipients: number }>('api-notify-users', input);
    },
    async addMembers(input) {
      await connection.call<object>('api-add-members', input);
    },
    async removeMembers(input) {
      await connection.call<object>('api-remove-members', input);
    },
    async updateCursors(input) {
      await connection.call<object>('api-update-cursors', input);
    },
    async disconnectUsers(input) {
      return connection.call<{ connections: number }>('api-disconnect-users', input);
    },
    async getPresence(input) {
      return connection.call<PresenceResult & { groupId: string }>('api-get-presence', input);
    },
    async getTrace(input) {
      return connection.call<RelayTrace>('api-get-trace', input);
    },
    async awaitDelivery(input) {
      const longestMs = timeoutMs + deliveryMs(input);
      const { delivery } = await connection.call<{ delivery: Delivery }>('api-await-delivery', input, longestMs);
      return delivery;
    },
    async close() {
      connection.close();
    },
  };
}
