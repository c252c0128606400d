import { fileURLToPath } from 'node:url';
import { freePort, startNode, startRedis, startRelayProcess, TEST_SECRETS } from '@groupcast/testing';
import type { DialectName } from '../driver/dialects.ts';
import { pin } from '../pins.ts';
import { pidOf } from '../processes.ts';

export interface ServerNode {
  port: number;
  pid: number;
  /** The size of its JavaScript heap, by its own account. */
  heapBytes(): Promise<number>;
}

export interface RunningServer {
  nodes: ServerNode[];
  stop(): Promise<void>;
}

/** One kind of server that is measured: how it is started, each time anew, and its protocol. */
export interface ServerKind {
  name: string;
  label: string;
  dialect: DialectName;
  /** Variables that all servers which have a heartbeat know. */
  start(env?: Readonly<Record<string, string>>): Promise<RunningServer>;
}

const NODES_WITH_REDIS = 2;
/** Socket.IO's own heartbeat for all of them, so that none is measured with more pings than another. */
const HEARTBEAT = { PING_INTERVAL_MS: '25000', PING_TIMEOUT_MS: '20000' };

/** Starts one of the scripts beside this file, which take their port first. */
export async function startScript(
  name: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const port = await freePort();
  const script = fileURLToPath(new URL(name, import.meta.url));
  const server = startNode([script, String(port), ...args], { NODE_ENV: 'production', ...env });
  await server.wrote('listening');
  const pid = pidOf(server.child);
  pin(pid, 'server');
  async function heapBytes(): Promise<number> {
    const usage = (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as NodeJS.MemoryUsage;
    return usage.heapUsed;
  }
  return { nodes: [{ port, pid, heapBytes }], stop: async () => server.stop() };
}

async function startGroupcast(env: Readonly<Record<string, string>> = {}): Promise<RunningServer> {
  const relay = await startRelayProcess({
    NODE_ENV: 'production',
    SOCKET_CORS_ORIGIN: '*',
    ...HEARTBEAT,
    ...env,
  });
  const pid = pidOf(relay.child);
  pin(pid, 'server');
  async function heapBytes(): Promise<number> {
    const metrics = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    return Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(metrics)?.[1]);
  }
  return { nodes: [{ port: relay.port, pid, heapBytes }], stop: async () => relay.stop() };
}

/** Two nodes with a Redis of their own. */
async function startWithRedis(start: (redisUrl: string) => Promise<RunningServer>): Promise<RunningServer> {
  const redis = await startRedis();
  const servers = await Promise.all(Array.from({ length: NODES_WITH_REDIS }, async () => start(redis.url)));
  return {
    nodes: servers.flatMap(({ nodes }) => nodes),
    async stop() {
      await Promise.all(servers.map(async (server) => server.stop()));
      await redis.stop();
    },
  };
}

export const IN_MEMORY: readonly ServerKind[] = [
  { name: 'groupcast', label: 'Groupcast', dialect: 'groupcast', start: startGroupcast },
  {
    name: 'groupcast-stock',
    label: 'Groupcast, FANOUT=stock',
    dialect: 'groupcast',
    start: async (env) => startGroupcast({ FANOUT: 'stock', ...env }),
  },
  { name: 'stock', label: 'Socket.IO', dialect: 'stock', start: async (env) => startScript('socket-io.mjs', [], env) },
  { name: 'ws', label: 'raw ws, prebuilt frame', dialect: 'plain', start: async () => startScript('plain-ws.mjs') },
];

/** Socket.IO where it does for a connection what the relay does: for `connect` alone, a room costs it the same as without. */
export const VERIFYING: ServerKind = {
  name: 'stock-verifying',
  label: 'Socket.IO that verifies the token',
  dialect: 'groupcast',
  start: async (env) => startScript('socket-io.mjs', [], { ...TEST_SECRETS, ...env }),
};

export const WITH_REDIS: readonly ServerKind[] = [
  {
    name: 'groupcast-redis',
    label: 'Groupcast, Redis',
    dialect: 'groupcast',
    start: async () => startWithRedis(async (redisUrl) => startGroupcast({ REDIS_URL: redisUrl })),
  },
  ...(['classic', 'sharded'] as const).map(
    (adapter): ServerKind => ({
      name: `stock-${adapter}`,
      label: `Socket.IO, ${adapter} Redis adapter`,
      dialect: 'stock',
      start: async () => startWithRedis(async (redisUrl) => startScript('socket-io.mjs', [adapter, redisUrl])),
    }),
  ),
];
