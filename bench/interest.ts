import { fileURLToPath } from 'node:url';
import { createBroadcaster } from '@groupcast/broadcaster';
import {
  freePort,
  type RedisServer,
  startNode,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
} from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { type CountingWire, startCountingWire } from './counting-wire.ts';
import { cpuMs, pidOf } from './processes.ts';

const STOCK = fileURLToPath(new URL('servers/socket-io.mjs', import.meta.url));
const MEMBERS = 50;
const MESSAGES = 4_000;
/** Messages a second. The measurement looks at the bystander's share, not at the capacity of the others. */
const RATE = 500;
const MESSAGE = { content: 'x'.repeat(200), createdAt: new Date(0).toISOString(), senderId: 'alice' };

interface Node {
  url: string;
  pid: number;
  stop: () => Promise<void>;
}

interface Setup {
  /** `wire` is the way of this node to Redis, where that is counted. */
  start: (redisUrl: string) => Promise<Node>;
  auth: (room: string) => Promise<object>;
  publisher: (url: string) => Promise<{ publish: (message: object) => Promise<unknown>; close: () => void }>;
}

const SETUPS: Readonly<Record<string, Setup>> = {
  Groupcast: {
    async start(redisUrl) {
      const relay = await startRelayProcess({
        REDIS_URL: redisUrl,
        SHUTDOWN_DRAIN_SECONDS: '0',

        NODE_ENV: 'production',
        SOCKET_CORS_ORIGIN: '*',
      });
      return { url: relay.url, pid: pidOf(relay.child), stop: async () => relay.stop() };
    },
    auth: async (room) => ({ token: await tokenFor('alice', [room]) }),
    async publisher(url) {
      const broadcaster = createBroadcaster({ url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
      return {
        publish: async (message) => broadcaster.broadcastMessage({ groupId: 'busy', message: { ...message } }),
        close: () => void broadcaster.close(),
      };
    },
  },
  'Socket.IO, classic Redis adapter': {
    async start(redisUrl) {
      const port = await freePort();
      const server = startNode([STOCK, String(port), 'classic', redisUrl], {});
      await server.wrote('listening');
      return { url: `http://127.0.0.1:${port}`, pid: pidOf(server.child), stop: async () => server.stop() };
    },
    auth: async (room) => ({ room }),
    async publisher(url) {
      const socket = io(url, { transports: ['websocket'], forceNew: true });
      await new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
      return {
        publish: async (message) => socket.emitWithAck('publish', 'busy', message),
        close: () => socket.close(),
      };
    },
  },
};

async function connectMembers(url: string, auth: object, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => io(url, { transports: ['websocket'], forceNew: true, auth }));
  await Promise.all(
    sockets.map(async (socket) => new Promise((resolve) => socket.once('connect', () => resolve(undefined)))),
  );
  return sockets;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function measure(name: string, setup: Setup, redis: RedisServer): Promise<string> {
  const wire: CountingWire = await startCountingWire(redis.port);
  const [taking, serving, bystander] = [
    await setup.start(redis.url),
    await setup.start(redis.url),
    await setup.start(`redis://127.0.0.1:${wire.port}`),
  ];
  const busy = await connectMembers(serving.url, await setup.auth('busy'), MEMBERS);
  const quiet = await connectMembers(bystander.url, await setup.auth('quiet'), MEMBERS);
  const counted = { deliveries: 0 };
  for (const socket of busy) socket.on('new-message', () => (counted.deliveries += 1));
  const publisher = await setup.publisher(taking.url);
  await pause(3_000);

  const sample = () => ({
    cpu: cpuMs(bystander.pid),
    bytes: wire.bytes(),
    taking: cpuMs(taking.pid),
    serving: cpuMs(serving.pid),
  });
  const seconds = MESSAGES / RATE;
  const before = sample();
  await pause(seconds * 1_000);
  const idle = sample();
  const startedAt = performance.now();
  const answers: Promise<unknown>[] = [];
  for (let n = 0; n < MESSAGES; n += 1) {
    answers.push(publisher.publish(MESSAGE));
    const due = startedAt + ((n + 1) * 1_000) / RATE;
    if (due > performance.now()) await pause(due - performance.now());
  }
  await Promise.all(answers);
  const after = sample();
  const isShort = (): boolean => counted.deliveries < MESSAGES * MEMBERS;
  for (let waited = 0; isShort() && waited < 10_000; waited += 50) await pause(50);

  publisher.close();
  for (const socket of [...busy, ...quiet]) socket.close();
  await Promise.all([taking, serving, bystander].map(async (node) => node.stop()));
  await wire.close();
  const perSecond = (from: number, to: number): string => ((to - from) / seconds).toFixed(1);
  return `| ${name} | ${counted.deliveries} of ${MESSAGES * MEMBERS} | ${perSecond(before.cpu, idle.cpu)} | ${perSecond(idle.cpu, after.cpu)} | ${perSecond(before.bytes / 1_000, idle.bytes / 1_000)} | ${perSecond(idle.bytes / 1_000, after.bytes / 1_000)} | ${perSecond(idle.taking, after.taking)} · ${perSecond(idle.serving, after.serving)} |`;
}

/** The work of a relay that has no members of a busy group, beside stock Socket.IO doing the same work. */
export async function interest(): Promise<void> {
  console.log(
    `A group with ${MEMBERS} members on one relay, ${MESSAGES} messages at ${RATE}/s taken by another; a third has ${MEMBERS} members of another group.\n`,
  );
  console.log(
    '| | delivered | bystander CPU ms/s, quiet | … under load | bystander kB/s with Redis, quiet | … under load | CPU ms/s of who takes · who serves |',
  );
  console.log('|---|---|---|---|---|---|---|');
  for (const [name, setup] of Object.entries(SETUPS)) {
    const redis = await startRedis();
    console.log(await measure(name, setup, redis));
    await redis.stop();
  }
}
