import type {
  Answer,
  AwaitDeliveryInput,
  BatchResult,
  BroadcastInput,
  BroadcastResult,
  Delivery,
  DisconnectInput,
  GetPresenceInput,
  MembersInput,
  NotifyInput,
  PresenceResult,
  RelayTrace,
  RemoveMembersInput,
  StoredCursorsInput,
  TraceQueryInput,
} from '@groupcast/shared';
import { GroupcastError, TRACE_LIMITS } from '@groupcast/shared/publisher';

export type BatchItemResult = Answer<BroadcastResult>;

/** The calls of a trusted back end, whichever way they take to the relay. */
export interface Publisher {
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
  /** Rejects what is still waiting, and every later call. */
  close(): Promise<void>;
}

/** The calls by the events that carry them over a socket. Texts of errors name them so on every way. */
export type RelayCall =
  | 'api-broadcast-message'
  | 'api-broadcast-batch'
  | 'api-notify-users'
  | 'api-add-members'
  | 'api-remove-members'
  | 'api-update-cursors'
  | 'api-disconnect-users'
  | 'api-get-presence'
  | 'api-get-trace'
  | 'api-await-delivery';

/** One way to the relay. */
export interface Transport {
  /** Resolves to the answer without its `ok`; rejects with a `GroupcastError` after `timeoutMs` at the latest. */
  call<T>(name: RelayCall, payload: unknown, timeoutMs: number): Promise<T>;
  close(): void;
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

export function createPublisher(transport: Transport, { timeoutMs }: { timeoutMs: number }): Publisher {
  return {
    async broadcastMessage(input) {
      return transport.call<BroadcastResult>('api-broadcast-message', withId(input), timeoutMs + deliveryMs(input));
    },
    async broadcastBatch(items) {
      if (!Array.isArray(items)) {
        throw new GroupcastError('INVALID_PAYLOAD', 'unable to send api-broadcast-batch; items must be a list');
      }
      const payload = { items: items.map(withId) };
      const longestMs = items.reduce((longest, item) => Math.max(longest, deliveryMs(item)), 0);
      const { results } = await transport.call<BatchResult>('api-broadcast-batch', payload, timeoutMs + longestMs);
      return results;
    },
    async notifyUsers(input) {
      return transport.call<{ recipients: number }>('api-notify-users', input, timeoutMs);
    },
    async addMembers(input) {
      await transport.call<object>('api-add-members', input, timeoutMs);
    },
    async removeMembers(input) {
      await transport.call<object>('api-remove-members', input, timeoutMs);
    },
    async updateCursors(input) {
      await transport.call<object>('api-update-cursors', input, timeoutMs);
    },
    async disconnectUsers(input) {
      return transport.call<{ connections: number }>('api-disconnect-users', input, timeoutMs);
    },
    async getPresence(input) {
      return transport.call<PresenceResult & { groupId: string }>('api-get-presence', input, timeoutMs);
    },
    async getTrace(input) {
      return transport.call<RelayTrace>('api-get-trace', input, timeoutMs);
    },
    async awaitDelivery(input) {
      const longestMs = timeoutMs + deliveryMs(input);
      const { delivery } = await transport.call<{ delivery: Delivery }>('api-await-delivery', input, longestMs);
      return delivery;
    },
    async close() {
      transport.close();
    },
  };
}
