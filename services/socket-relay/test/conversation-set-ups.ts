import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import { received, startRedis, startRelayProcess, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { startRelayUnderTest } from './relay-harness.ts';

/** One or several nodes, and clients of theirs. A member’s `node` is the first or the last of them. */
export interface SetUp {
  api: ApiStub;
  broadcaster: Broadcaster;
  internalUrl: string;
  /** A connection of the user to one of the nodes that is live in the groups. `token` and other fields of `auth` may be given. */
  member(node: 'first' | 'last', userId: string, groups: readonly string[], auth?: object): Promise<Socket>;
  close(): Promise<void>;
}

/** The worker that has the connection: its session's id says so. */
const workerOf = (socket: Socket): number => Number((socket.io.engine as { id?: string }).id?.split('.')[0]);

async function connect(url: string, userId: string, groups: readonly string[], auth: object): Promise<Socket> {
  const token = await tokenFor(userId, groups);
  const socket = io(url, { forceNew: true, transports: ['websocket'], reconnection: false, auth: { token, ...auth } });
  await received(socket, 'joined-groups');
  return socket;
}

async function relays(count: number): Promise<SetUp> {
  const api = await startApiStub();
  const redis = count > 1 ? await startRedis() : undefined;
  const env = { API_URL: api.url, ...(redis ? { REDIS_URL: redis.url, NODE_LEASE_SECONDS: '3' } : {}) };
  const started = await Promise.all(Array.from({ length: count }, async () => startRelayUnderTest(env)));
  const [first] = started;
  const last = started.at(-1);
  if (!first || !last) throw new Error('there is no relay');
  const sockets: Socket[] = [];
  return {
    api,
    broadcaster: first.broadcaster,
    internalUrl: last.internalUrl,
    async member(node, userId, groups, auth = {}) {
      // A token that is as old as the relay is confirmed with the API.
      for (const groupId of groups) api.members.add(`${userId} ${groupId}`);
      const socket = await connect((node === 'first' ? first : last).url, userId, groups, auth);
      sockets.push(socket);
      return socket;
    },
    async close() {
      for (const socket of sockets) socket.close();
      await Promise.all(started.map(async (relay) => relay.close()));
      await redis?.stop();
      await api.close();
    },
  };
}

const WORKERS = 4;

async function workers(): Promise<SetUp> {
  const api = await startApiStub();
  const relay = await startRelayProcess({
    RELAY_WORKERS: String(WORKERS),
    API_URL: api.url,
    SHUTDOWN_DRAIN_SECONDS: '0',
    NODE_LEASE_SECONDS: '5',
  });
  const sockets: Socket[] = [];
  const serviceSecret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const broadcaster = createBroadcaster({ url: relay.url, serviceSecret, timeoutMs: 5_000 });
  return {
    api,
    broadcaster,
    internalUrl: relay.internalUrl,
    async member(node, userId, groups, auth = {}) {
      // A token that is as old as the relay is confirmed with the API.
      for (const groupId of groups) api.members.add(`${userId} ${groupId}`);
      for (;;) {
        const socket = await connect(relay.url, userId, groups, auth);
        sockets.push(socket);
        if (workerOf(socket) === (node === 'first' ? 1 : WORKERS)) return socket;
        socket.close();
      }
    },
    async close() {
      for (const socket of sockets) socket.close();
      await broadcaster.close();
      await relay.stop();
      await api.close();
    },
  };
}

export const SET_UPS: readonly (readonly [string, () => Promise<SetUp>])[] = [
  ['on one relay', async () => relays(1)],
  ['on two relays', async () => relays(2)],
  ['on four workers of one machine', workers],
];
