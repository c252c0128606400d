import { EventEmitter } from 'node:events';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { createShardedAdapter } from '@socket.io/redis-adapter';
import { type BroadcastOptions, MessageType } from 'socket.io-adapter';
import type { ShardChannels } from '../nodes/channels.ts';
import type { Carrier } from './carrier.ts';

/*
 * Carries transient messages by `@socket.io/redis-adapter` (sharded, dynamic), and is the only place that knows the adapter. The adapter
 * makes names of rooms, subscribes and unsubscribes, wraps and unwraps, and drops the echo of its own messages. Around it:
 *
 *   relay ──send──▶ adapter ──▶ ChannelClient ──▶ ShardChannels ──▶ Redis, or the bus of the workers
 *   relay ◀─listener── receiver ◀── adapter ◀── isBroadcast? ◀── ChannelClient ◀──┘
 *
 * - It gets a namespace with one receiver instead of the relay's own: it neither keeps nor reaches a connection, and local delivery, which
 *   it would do after Redis has answered, is none of its business. A room is wanted once per node, however many connections are in it.
 * - It gets a client instead of one of Redis: `ChannelClient` rejects nothing, waits for nobody, subscribes again after an outage, holds a
 *   bounded number of messages that Redis has not taken, and keeps none for later.
 * - Only broadcasts to one room pass to it. The rest of its protocol (joining rooms, fetching and closing sockets, counting servers and
 *   waiting for as many answers) is neither subscribed to nor understood, so nobody who can write to Redis can use it.
 */

/**
 * Most messages that have been sent and not yet taken, and most characters of all of them. More are dropped: they are out of date before
 * Redis is back. One turn may have some thousand, where users have read all their groups, which must not cost others their signals.
 */
const MAX_IN_FLIGHT = 10_000;
const MAX_LENGTH_IN_FLIGHT = 16_777_216;
/** Longest message of another node, in characters: 1,000 receipts, or a signal of `MAX_SIGNAL_BYTES`, come to less. */
const MAX_MESSAGE_LENGTH = 524_288;
/** How long after a subscription that failed the next attempt is made, in milliseconds. */
const RETRY_MS = 1_000;
const PREFIX = 'transient';
/** The part of a channel's name that comes before the room's; every name ends with a `#`. */
const CHANNEL = `${PREFIX}#/#`;
const OPENING_BRACE = '{';

interface Deps {
  channels: ShardChannels;
  /** The name of this node: no room is called that. */
  node: string;
  onDropped: () => void;
  log: Logger;
}

function roomOf(channel: string): string {
  return channel.slice(CHANNEL.length, -1);
}

/** The commands of Redis that the adapter uses, on channels that any broker may carry. */
class ChannelClient extends EventEmitter {
  private readonly deps: Deps;
  private readonly wanted = new Set<string>();
  private readonly retries = new Set<NodeJS.Timeout>();
  private inFlight = 0;
  private lengthInFlight = 0;
  /** The channels of rooms are subscribed to. Before, the adapter asks for two that carry the rest of its protocol. */
  isOpen = false;
  /** Set by each message that the adapter has understood. */
  understood = false;
  /** The outcome of the last `spublish`. */
  sent: Promise<number> = Promise.resolve(0);

  constructor(deps: Deps) {
    super();
    this.deps = deps;
  }

  async ssubscribe(channel: string): Promise<void> {
    if (!this.isOpen) return;
    this.wanted.add(channel);
    await this.subscribe(channel);
  }

  private async subscribe(channel: string): Promise<void> {
    try {
      await this.deps.channels.subscribe(channel, { onMessage: (text) => this.receive(channel, text) });
    } catch (error) {
      this.deps.log.debug({ err: error, channel }, 'unable to listen for transient events; will try again');
      const timer = setTimeout(() => {
        this.retries.delete(timer);
        if (this.wanted.has(channel)) void this.subscribe(channel);
      }, RETRY_MS);
      timer.unref();
      this.retries.add(timer);
    }
  }

  private receive(channel: string, text: string): void {
    if (!text.startsWith(OPENING_BRACE) || text.length > MAX_MESSAGE_LENGTH) throw new Error('not a transient message');
    this.understood = false;
    // The adapter reads bytes, and is silent about those that are no JSON.
    this.emit('smessageBuffer', Buffer.from(channel), Buffer.from(text));
    if (!this.understood) throw new Error('not a transient message');
  }

  async sunsubscribe(channel: string): Promise<void> {
    if (this.wanted.delete(channel)) this.deps.channels.unsubscribe(channel);
  }

  async spublish(channel: string, text: string): Promise<number> {
    if (this.inFlight >= MAX_IN_FLIGHT || this.lengthInFlight + text.length > MAX_LENGTH_IN_FLIGHT) {
      this.deps.onDropped();
      this.sent = Promise.resolve(0);
      return this.sent;
    }
    this.inFlight += 1;
    this.lengthInFlight += text.length;
    this.sent = this.deps.channels
      .publish(channel, text)
      .catch((error: unknown) => {
        this.deps.log.debug({ err: error, channel }, 'unable to send a transient event');
        this.deps.onDropped();
        return 0;
      })
      .finally(() => {
        this.inFlight -= 1;
        this.lengthInFlight -= text.length;
      });
    return this.sent;
  }

  stop(): void {
    for (const timer of this.retries) clearTimeout(timer);
    this.retries.clear();
    this.wanted.clear();
  }
}

/** A broadcast to one room: an array that begins with the event's name. */
interface RoomBroadcast {
  data: { packet: { data: unknown[] }; opts: { rooms: [string] } };
}

/** Whether the message is all that may reach the adapter. `room` is that of the channel on which it came. */
function isBroadcast(message: unknown, room: string): message is RoomBroadcast {
  const { type, uid, nsp, data } = message as Record<string, unknown>;
  if (type !== MessageType.BROADCAST || typeof uid !== 'string' || nsp !== '/') return false;
  const { requestId, packet, opts } = (data ?? {}) as Record<string, unknown>;
  const { rooms, except, flags } = (opts ?? {}) as Record<string, unknown>;
  const { data: parts } = (packet ?? {}) as Record<string, unknown>;
  if (requestId !== undefined || !Array.isArray(parts) || typeof parts[0] !== 'string') return false;
  if (flags !== undefined && (typeof flags !== 'object' || flags === null)) return false;
  return Array.isArray(rooms) && rooms.length === 1 && rooms[0] === room && Array.isArray(except);
}

/** The adapter, with the one of its methods that is not public and is replaced here. */
interface OpenAdapter {
  onMessage: (message: unknown, offset?: string) => void;
  onResponse: (message: unknown) => void;
  addAll(id: string, rooms: Set<string>): void;
  del(id: string, room: string): void;
  broadcast(packet: object, options: BroadcastOptions): Promise<void>;
  close(): Promise<void> | void;
}

export function createFencedAdapter(deps: Deps): Carrier {
  const { node, log } = deps;
  const client = new ChannelClient(deps);
  const warn = warnOnceEvery(60_000);
  let listener: (room: string, message: readonly unknown[]) => void = () => undefined;
  /** The room of the message that the adapter is reading. */
  let room = '';

  const receiver = {
    id: node,
    client: { writeToEngine: () => undefined },
    notifyOutgoingListeners: ({ data }: { data: unknown[] }) => listener(room, data),
  };
  // Nothing is encoded for connections: the receiver takes the event as it is.
  const namespace = {
    name: '/',
    server: { opts: {}, encoder: { encode: () => [] } },
    sockets: new Map([[node, receiver]]),
  };
  const options = { channelPrefix: PREFIX, subscriptionMode: 'dynamic-private' } as const;
  const adapter = createShardedAdapter(client, client, options)(namespace) as unknown as OpenAdapter;
  const read = adapter.onMessage.bind(adapter);
  adapter.onMessage = (message) => {
    if (!isBroadcast(message, room)) throw new Error('not a transient message');
    client.understood = true;
    read(message);
  };
  adapter.onResponse = () => {
    throw new Error('nobody was asked');
  };
  client.prependListener('smessageBuffer', (channel: Buffer) => {
    room = roomOf(channel.toString());
  });
  client.isOpen = true;
  // Its own room, into which nobody else comes: messages that this node sends leave it out.
  adapter.addAll(node, new Set([node]));

  return {
    want: (wanted) => adapter.addAll(node, new Set([wanted])),
    unwant: (unwanted) => adapter.del(node, unwanted),
    async send(to, message) {
      client.sent = Promise.resolve(0);
      const addressed = { rooms: new Set([to]), except: new Set([node]), flags: {} };
      adapter.broadcast({ type: 2, data: [...message] }, addressed).catch((error: unknown) => {
        warn('broadcast', (suppressed) => log.error({ err: error, suppressed }, 'unable to send a transient event'));
      });
      // The adapter has called `spublish` by now.
      return client.sent;
    },
    onMessage(next) {
      listener = next;
    },
    stop() {
      client.stop();
      Promise.resolve(adapter.close()).catch(() => undefined);
    },
  };
}
