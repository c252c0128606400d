import { MessageChannel } from 'node:worker_threads';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { Server } from 'socket.io';
import { afterEach } from 'vitest';
import { createBus } from '../src/cluster/local-bus/bus.ts';
import { createBusChannels } from '../src/cluster/local-bus/bus-channels.ts';
import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { createEndpoint, type Endpoint } from '../src/ipc/endpoint.ts';
import { createRelayMetrics, type RelayMetrics } from '../src/metrics/relay-metrics.ts';
import type { ShardChannels } from '../src/nodes/channels.ts';
import { createShardChannels } from '../src/nodes/redis-channels.ts';
import { connectChannels } from '../src/redis/connections.ts';
import { parseRedisUrl } from '../src/redis/target.ts';
import type { RelayServer } from '../src/sessions/session.ts';
import { createFencedAdapter } from '../src/transient/fenced-adapter.ts';
import type { MessageOf } from '../src/transient/messages.ts';
import { createTransient, type Transient } from '../src/transient/transient.ts';

const log = pino({ level: 'silent' });
const UP_TO_DATE = 5_000;

/** One way to carry transient messages, and as many nodes on it as a test asks for. */
export interface SetUp {
  /** The channels of one more node; `undefined` where there is only one. */
  channels: ((node: string, metrics: RelayMetrics) => { channels: ShardChannels; close: () => void }) | undefined;
  stop: () => Promise<void>;
}

export async function alone(): Promise<SetUp> {
  return { channels: undefined, stop: async () => undefined };
}

export async function onBus(): Promise<SetUp> {
  const options = { size: 10, bytes: 10_000, ttlMs: 60_000, totalBytes: 100_000 };
  const bus = createBus({ groupLog: createMemoryGroupLog(options), memoryMs: 60_000, maxEntries: 100, log });
  return {
    channels(_node, metrics) {
      const { port1, port2 } = new MessageChannel();
      const [near, far] = [port1, port2].map((port): Endpoint => {
        const post = (message: object, sent?: (error: null) => void): void => {
          port.postMessage(message);
          sent?.(null);
        };
        return createEndpoint({ post, onMessage: (listener) => void port.on('message', listener) });
      }) as [Endpoint, Endpoint];
      const leave = bus.serve(near);
      const channels = createBusChannels({ primary: far, metrics, log });
      return {
        channels,
        close() {
          leave();
          port1.close();
        },
      };
    },
    stop: async () => bus.stop(),
  };
}

export function onRedis(url: string, stop: () => Promise<void>): SetUp {
  const target = parseRedisUrl(url);
  if (!target) throw new Error(`${url} is no redis url`);
  return {
    channels(node, metrics) {
      const redis = connectChannels(target, log);
      const channels = createShardChannels({ redis, node, metrics, log });
      return {
        channels,
        close() {
          channels.stop();
          redis.close();
        },
      };
    },
    stop,
  };
}

/** A node that keeps the messages which it shows. */
export interface Node {
  transient: Transient;
  metrics: RelayMetrics;
  shown: MessageOf<'typing'>[];
  /** A connection comes into a room of this node, or leaves it. */
  join(groupId: string, socketId?: string): void;
  leave(groupId: string, socketId?: string): void;
  trusted: boolean;
  received(): Promise<number>;
  malformed(): Promise<number>;
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});
let nodes = 0;

export function startNode(setUp: SetUp): Node {
  nodes += 1;
  const node = `node${nodes}`;
  const metrics = createRelayMetrics();
  const io = new Server() as unknown as RelayServer;
  const opened = setUp.channels?.(node, metrics);
  const dropped = (): void => metrics.transientEvents.inc({ event: 'any', way: 'dropped' });
  const carrier = opened && createFencedAdapter({ channels: opened.channels, node, onDropped: dropped, log });
  const shown: MessageOf<'typing'>[] = [];
  const { adapter } = io.of('/');
  const started: Node = {
    transient: createTransient({ io, node, carrier, isTrusted: () => started.trusted, metrics, log }),
    metrics,
    shown,
    join: (groupId, socketId = 's') => void adapter.addAll(socketId, new Set([`group-${groupId}`])),
    leave: (groupId, socketId = 's') => void adapter.del(socketId, `group-${groupId}`),
    trusted: true,
    async received() {
      const { values } = await metrics.transientEvents.get();
      return values.filter(({ labels }) => labels.way === 'received').reduce((sum, { value }) => sum + value, 0);
    },
    malformed: async () => (await metrics.malformed.get()).values[0]?.value ?? 0,
  };
  started.transient.on('typing', (typing) => {
    shown.push(typing);
    return 1;
  });
  cleanups.push(() => {
    started.transient.stop();
    opened?.close();
  });
  return started;
}

export const typing = (groupId: string, userId = 'u') => ({ groupId, userId, isTyping: true });
/** Both nodes have members of the group, and hear each other. */
export async function linked(setUp: SetUp, groupId: string): Promise<[Node, Node]> {
  const pair: [Node, Node] = [startNode(setUp), startNode(setUp)];
  for (const node of pair) node.join(groupId);
  await hearEachOther(pair, groupId);
  return pair;
}
export async function hearEachOther([one, other]: [Node, Node], groupId: string, withinMs = UP_TO_DATE): Promise<void> {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    await until(
      'the nodes to hear each other',
      () => {
        from.transient.tell('typing', typing(groupId, 'hello'));
        return to.shown.length > 0;
      },
      withinMs,
    );
  }
  // A word that is still on its way would be taken for one of the test's own.
  await one.transient.ask('typing', typing(groupId, 'done'));
  await other.transient.ask('typing', typing(groupId, 'done'));
  for (const node of [one, other]) node.shown.length = 0;
}
