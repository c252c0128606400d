import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import {
  freePort,
  type PostgresServer,
  type RedisServer,
  received,
  type ServiceProcess,
  startApiProcess,
  startBalancer,
  startPostgres,
  startRedis,
  startRelayProcess,
  startTcpProxy,
  type TcpProxy,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io } from 'socket.io-client';
import type { FaultCode, Hop } from '../packages/cli/src/doctor/hops.ts';
import type { Whereabouts } from '../packages/cli/src/doctor/patient.ts';

/*
 * Faults that are planted one at a time into real processes, each with what has to be said about it. One stage serves all of them: an API on
 * PostgreSQL, two relays with one Redis, and relays that are wrong by themselves.
 */

type Relay = ServiceProcess & { internalUrl: string };

export interface Stage {
  api: ServiceProcess & { internalUrl: string };
  /** Relays with one Redis; the API has the first one, over a wire of its own. */
  one: Relay;
  two: Relay;
  /** A relay of the same deployment without Redis. */
  lone: Relay;
  /** A relay whose secrets are all others, and one whose users' secret is another. */
  foreign: Relay;
  strange: Relay;
  redis: RedisServer;
  postgres: PostgresServer;
  /** Between the API and its relay. */
  apiWire: TcpProxy;
  /** The environment in which a command finds all this, and nothing is wrong. */
  env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const OTHER_SECRETS = {
  JWT_SECRET: 'user-tokens-of-somebody-else-0123456789abcdef',
  RELAY_SERVICE_SECRET: 'service-tokens-of-somebody-else-0123456789',
} as const;
/** The Redis user of the second relay, whose rights can be taken away. */
const REDIS_USER = { name: 'two', password: 'two' };

/** Starts everything at once. The second relay has a user of its own in Redis. */
export async function setStage(): Promise<Stage> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  redis.ask('acl', 'setuser', REDIS_USER.name, 'on', `>${REDIS_USER.password}`, '~*', '&*', '+@all');
  const [apiPort, onePort] = [await freePort(), await freePort()];
  const apiWire = await startTcpProxy(onePort);
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const ofApi = { API_URL: apiUrl };
  const twosRedis = `redis://${REDIS_USER.name}:${REDIS_USER.password}@127.0.0.1:${redis.port}`;
  const starting = [
    startApiProcess({
      DATABASE_URL: await postgres.createDatabase(),
      API_PORT: String(apiPort),
      RELAY_URL: `http://127.0.0.1:${apiWire.port}`,
    }),
    startRelayProcess({ ...ofApi, REDIS_URL: redis.url, RELAY_PORT: String(onePort), RELAY_WS_PATH: '/ws' }),
    startRelayProcess({ ...ofApi, REDIS_URL: twosRedis }),
    startRelayProcess(),
    startRelayProcess(OTHER_SECRETS),
    startRelayProcess({ JWT_SECRET: OTHER_SECRETS.JWT_SECRET }),
  ] as const;
  const stopAll = async (): Promise<void> => {
    for (const each of await Promise.allSettled(starting)) if (each.status === 'fulfilled') await each.value.stop();
    await Promise.all([apiWire.close(), redis.stop(), postgres.stop()]);
  };
  const [api, one, two, lone, foreign, strange] = await Promise.all(starting).catch(async (error: unknown) => {
    await stopAll();
    throw error;
  });
  const env = {
    ...TEST_SECRETS,
    API_URL: apiUrl,
    RELAY_URL: one.url,
    RELAY_INTERNAL_URL: one.internalUrl,
    RELAY_WS_PATH: '/ws',
    REDIS_URL: redis.url,
  };
  await until('the API to reach the relay', () => api.output().includes('connected to the relay'));
  await relaysTogether({ one, two });
  return { api, one, two, lone, foreign, strange, redis, postgres, apiWire, env, stop: stopAll };
}

/** A fault, and what has to be said about it. */
export interface PlantedFault {
  name: string;
  /** Plants it, and says what a command is called with. `lift` undoes it, and resolves when all is well again. */
  plant(stage: Stage): Promise<{
    env?: Readonly<Record<string, string>>;
    where?: Partial<Whereabouts>;
    lift?: () => unknown;
  }>;
  /** Set where silence is the fault, which is waited for again and again. */
  isSilent?: true;
  doctor: { hop: Hop; code: FaultCode; cause: RegExp };
}

const serviceToken = async (scope: 'broadcast' | 'admin'): Promise<string> =>
  signServiceToken({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, scopes: [scope], subject: 'test' });

/** A change of members is done when every relay has it, so each of the two reaches the other. */
async function relaysTogether({ one, two }: Pick<Stage, 'one' | 'two'>): Promise<void> {
  const headers = { authorization: `Bearer ${await serviceToken('broadcast')}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ groupId: 'together', userIds: ['nobody'] });
  const reachesAll = async ({ internalUrl }: Relay): Promise<boolean> =>
    (await fetch(`${internalUrl}/v1/members/add`, { method: 'POST', headers, body })).ok &&
    (await fetch(`${internalUrl}/readyz`)).ok;
  await until('each relay to reach the other', async () => (await reachesAll(one)) && reachesAll(two), 30_000);
}

async function listening(server: Server): Promise<{ port: number; close: () => Promise<unknown> }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => new Promise((resolve) => server.close(resolve)),
  };
}

/** A proxy in front of a service that passes requests on, and upgrades as plain requests. `change` may spoil the answer's headers. */
async function startHttpProxy(
  target: string,
  change: (headers: IncomingMessage['headers']) => IncomingMessage['headers'] = (headers) => headers,
): Promise<{ url: string; close: () => Promise<unknown> }> {
  const passOn = (asked: IncomingMessage, answer: ServerResponse): void => {
    const { connection: _connection, upgrade: _upgrade, ...headers } = asked.headers;
    const onward = request(`${target}${asked.url}`, { method: asked.method, headers, agent: false }, (response) => {
      answer.writeHead(response.statusCode ?? 502, change(response.headers));
      response.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
  };
  const server = createHttpServer(passOn);
  const { port, close } = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      return close();
    },
  };
}

/** A wire on which, of each connection, the first bytes of an answer arrive and the others do not. */
async function startBlackHole(target: number, bytes: number): Promise<{ url: string; close: () => Promise<unknown> }> {
  const open = new Set<{ destroy(): unknown }>();
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    let passed = 0;
    upstream.on('data', (chunk) => {
      client.write(chunk.subarray(0, Math.max(0, bytes - passed)));
      passed += chunk.length;
    });
    client.on('data', (chunk) => upstream.write(chunk));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  const { port, close } = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of open) socket.destroy();
      return close();
    },
  };
}

/** Bytes that are enough for a session of HTTP long-polling, and for a WebSocket until its client is in the group. */
const BYTES_OF_A_HANDSHAKE = 900;

const REDIS: readonly PlantedFault[] = [
  {
    name: 'Redis is a replica',
    async plant({ redis, ...stage }) {
      redis.ask('replicaof', '127.0.0.1', '1');
      return {
        async lift() {
          redis.ask('replicaof', 'no', 'one');
          await relaysTogether(stage);
        },
      };
    },
    doctor: { hop: 'redis', code: 'REDIS_READ_ONLY', cause: /replica/ },
  },
  {
    name: 'Redis evicts',
    async plant({ redis }) {
      redis.ask('config', 'set', 'maxmemory-policy', 'allkeys-lru');
      return { lift: () => redis.ask('config', 'set', 'maxmemory-policy', 'noeviction') };
    },
    doctor: { hop: 'redis', code: 'REDIS_EVICTS', cause: /allkeys-lru/ },
  },
  {
    name: 'Redis refuses the password',
    async plant({ redis }) {
      return { env: { REDIS_URL: `redis://two:wrong@127.0.0.1:${redis.port}` } };
    },
    doctor: { hop: 'redis', code: 'REDIS_REFUSES', cause: /WRONGPASS/ },
  },
  {
    name: 'relays of another deployment use the same prefix',
    async plant({ redis }) {
      const port = await freePort();
      const env = { ...OTHER_SECRETS, REDIS_URL: redis.url };
      const late = startRelayProcess({ ...env, RELAY_PORT: String(port) }).then(
        () => 'started',
        (error: unknown) => String(error),
      );
      if (!(await late).includes('another deployment')) throw new Error('the foreign relay has started');
      return { env: { ...env, RELAY_URL: `http://127.0.0.1:${port}`, RELAY_INTERNAL_URL: '' } };
    },
    doctor: { hop: 'redis', code: 'FOREIGN_DEPLOYMENT', cause: /another deployment use REDIS_PREFIX "gc"/ },
  },
  {
    name: 'two relays have no common Redis',
    isSilent: true,
    plant: async ({ lone }) => ({ where: { relays: [lone.url] } }),
    doctor: { hop: 'redis', code: 'NODES_APART', cause: /does not reach the clients of the other/ },
  },
  {
    name: 'Redis is down',
    async plant(stage) {
      await stage.redis.kill();
      return {
        async lift() {
          await stage.redis.restart();
          stage.redis.ask('acl', 'setuser', REDIS_USER.name, 'on', `>${REDIS_USER.password}`, '~*', '&*', '+@all');
          await relaysTogether(stage);
        },
      };
    },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
];

/** Where services are looked for, and whether they answer there. */
const ADDRESSES: readonly PlantedFault[] = [
  {
    name: 'a variable is no port',
    plant: async () => ({ env: { RELAY_PORT: '30OO' } }),
    doctor: { hop: 'configuration', code: 'CONFIGURATION_INVALID', cause: /RELAY_PORT must be an integer/ },
  },
  {
    name: 'the relay is down',
    plant: async () => ({ env: { RELAY_URL: `http://127.0.0.1:${await freePort()}`, RELAY_INTERNAL_URL: '' } }),
    doctor: { hop: 'relay', code: 'RELAY_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'RELAY_URL leads to the internal port',
    plant: async ({ one }) => ({ env: { RELAY_URL: one.internalUrl } }),
    doctor: { hop: 'relay', code: 'WRONG_URL', cause: /the public port of the relay \(RELAY_PORT/ },
  },
  {
    name: 'RELAY_PUBLIC_URL has a path that nobody takes off',
    plant: async ({ one }) => ({ env: { RELAY_PUBLIC_URL: `${one.url}/rt` } }),
    doctor: { hop: 'relay', code: 'WRONG_URL', cause: /the relay speaks Socket\.IO at \/socket\.io\// },
  },
  {
    name: 'API_URL leads to the relay',
    plant: async ({ one }) => ({ env: { API_URL: one.url } }),
    doctor: { hop: 'api', code: 'WRONG_URL', cause: /no API answers/ },
  },
  {
    name: 'the API is down',
    plant: async () => ({ env: { API_URL: `http://127.0.0.1:${await freePort()}` } }),
    doctor: { hop: 'api', code: 'API_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'the API cannot start, because its database is away',
    plant: async () => ({
      env: {
        API_URL: `http://127.0.0.1:${await freePort()}`,
        DATABASE_URL: `postgres://postgres@127.0.0.1:${await freePort()}/groupcast`,
      },
    }),
    doctor: { hop: 'database', code: 'DATABASE_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'the API knows another address of the relay',
    async plant({ apiWire, one, env }) {
      apiWire.leadTo(await freePort());
      apiWire.cut();
      const headers = {
        authorization: `Bearer ${await signServiceToken({
          secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
          scopes: ['relay'],
          subject: 'test',
          audience: 'groupcast-api',
        })}`,
      };
      const isConnected = async (): Promise<boolean> => {
        const answer = await fetch(`${env['API_URL']}/internal/health`, { headers });
        return ((await answer.json()) as { relay: { connected: boolean } }).relay.connected;
      };
      await until('the API to have lost its relay', async () => !(await isConnected()));
      return {
        async lift() {
          apiWire.leadTo(one.port);
          await until('the API to be back', isConnected);
        },
      };
    },
    doctor: { hop: 'relay', code: 'RELAY_CUT_OFF', cause: /the API is not connected to its relay/ },
  },
];

/** Processes that run and do not work. */
const STATES: readonly PlantedFault[] = [
  {
    name: 'the relay is frozen',
    isSilent: true,
    async plant({ lone, env }) {
      lone.signal('SIGSTOP');
      return {
        env: { ...env, RELAY_URL: lone.url, RELAY_INTERNAL_URL: '', REDIS_URL: '' },
        lift: () => lone.signal('SIGCONT'),
      };
    },
    doctor: { hop: 'relay', code: 'RELAY_SILENT', cause: /takes a connection and does not answer/ },
  },
  {
    name: 'another relay is frozen',
    isSilent: true,
    async plant({ lone }) {
      lone.signal('SIGSTOP');
      return { where: { relays: [lone.url] }, lift: () => lone.signal('SIGCONT') };
    },
    doctor: { hop: 'nodes', code: 'NODE_SILENT', cause: /does not answer/ },
  },
  {
    name: 'the API is frozen',
    isSilent: true,
    async plant({ api }) {
      api.signal('SIGSTOP');
      return { lift: () => api.signal('SIGCONT') };
    },
    doctor: { hop: 'api', code: 'API_SILENT', cause: /takes a connection and does not answer/ },
  },
  {
    name: 'the relay is drained',
    async plant({ lone }) {
      const headers = { authorization: `Bearer ${await serviceToken('admin')}` };
      const drain = async (method: string): Promise<unknown> =>
        fetch(`${lone.internalUrl}/v1/drain`, { method, headers });
      await drain('POST');
      return {
        env: { RELAY_URL: lone.url, RELAY_INTERNAL_URL: lone.internalUrl, REDIS_URL: '' },
        lift: async () => drain('DELETE'),
      };
    },
    doctor: { hop: 'relay', code: 'RELAY_DRAINING', cause: /is stopping/ },
  },
  {
    name: 'the database is read-only',
    async plant({ postgres }) {
      const set = async (value: 'on' | 'off'): Promise<void> => {
        await postgres.query(`alter system set default_transaction_read_only = ${value}`);
        await postgres.query('select pg_reload_conf()');
        await until('PostgreSQL to know', async () => {
          const { rows } = await postgres.query('show default_transaction_read_only');
          return (rows[0] as { default_transaction_read_only: string }).default_transaction_read_only === value;
        });
      };
      await set('on');
      return { lift: async () => set('off') };
    },
    doctor: { hop: 'database', code: 'DATABASE_READ_ONLY', cause: /takes no writes/ },
  },
  {
    name: 'the database is down',
    async plant({ postgres, api }) {
      await postgres.stopServer();
      return {
        async lift() {
          await postgres.startServer();
          await until('the API to be ready', async () => (await fetch(`${api.url}/readyz`)).ok);
        },
      };
    },
    doctor: { hop: 'database', code: 'DATABASE_UNREACHABLE', cause: /does not reach its database/ },
  },
  {
    name: 'a relay hears nothing from Redis',
    async plant({ redis, two, ...stage }) {
      redis.ask('acl', 'setuser', REDIS_USER.name, 'resetchannels');
      return {
        where: { relays: [two.url] },
        async lift() {
          redis.ask('acl', 'setuser', REDIS_USER.name, 'allchannels');
          await relaysTogether({ two, ...stage });
        },
      };
    },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /the relay at .* cannot use Redis/ },
  },
];

/** Secrets, by the side that has another one. */
const SECRETS: readonly PlantedFault[] = [
  {
    name: 'RELAY_SERVICE_SECRET of the relay differs',
    plant: async ({ foreign }) => ({
      env: { RELAY_URL: foreign.url, RELAY_INTERNAL_URL: foreign.internalUrl, REDIS_URL: '' },
    }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /RELAY_SERVICE_SECRET of the relay differs/ },
  },
  {
    name: 'RELAY_SERVICE_SECRET of the API differs',
    plant: async ({ foreign }) => ({
      env: { ...OTHER_SECRETS, RELAY_URL: foreign.url, RELAY_INTERNAL_URL: foreign.internalUrl, REDIS_URL: '' },
    }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /RELAY_SERVICE_SECRET of the API differs/ },
  },
  {
    name: 'RELAY_SERVICE_SECRET here differs',
    plant: async () => ({ env: { RELAY_SERVICE_SECRET: OTHER_SECRETS.RELAY_SERVICE_SECRET } }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /RELAY_SERVICE_SECRET here differs from API and relay/ },
  },
  {
    name: 'JWT_SECRET of the relay differs',
    plant: async ({ strange }) => ({
      env: { RELAY_URL: strange.url, RELAY_INTERNAL_URL: strange.internalUrl, REDIS_URL: '' },
    }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /JWT_SECRET .* of the relay differs/ },
  },
  {
    name: 'JWT_SECRET of the API differs',
    plant: async ({ strange }) => ({
      env: {
        JWT_SECRET: OTHER_SECRETS.JWT_SECRET,
        RELAY_URL: strange.url,
        RELAY_INTERNAL_URL: strange.internalUrl,
        REDIS_URL: '',
      },
    }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /JWT_SECRET .* of the API differs/ },
  },
];

/** Proxies and wires in between, and what clients ask for. */
const BETWEEN: readonly PlantedFault[] = [
  {
    name: 'the clock of the API is off',
    async plant({ api }) {
      const late = (): string => new Date(Date.now() - 90_000).toUTCString();
      const proxy = await startHttpProxy(api.url, (headers) => ({ ...headers, date: late() }));
      return { env: { API_URL: proxy.url }, lift: proxy.close };
    },
    doctor: { hop: 'clock', code: 'CLOCK_SKEW', cause: /the clock of the API is .* behind/ },
  },
  {
    name: 'a proxy passes no upgrade on',
    async plant({ one }) {
      const proxy = await startHttpProxy(one.url);
      return { env: { RELAY_PUBLIC_URL: proxy.url }, lift: proxy.close };
    },
    doctor: { hop: 'upgrade', code: 'NO_UPGRADE', cause: /no WebSocket gets through/ },
  },
  {
    name: 'a balancer is not sticky',
    async plant({ one, two }) {
      let turn = 0;
      const balancer = await startBalancer(() => {
        turn += 1;
        return turn % 2 === 0 ? [one.port, two.port] : [two.port, one.port];
      });
      return { where: { publicUrl: `http://127.0.0.1:${balancer.port}` }, lift: async () => balancer.close() };
    },
    doctor: { hop: 'stickiness', code: 'NOT_STICKY', cause: /Session ID unknown/ },
  },
  {
    name: 'a wire swallows what comes after the handshake',
    isSilent: true,
    async plant({ one }) {
      const hole = await startBlackHole(one.port, BYTES_OF_A_HANDSHAKE);
      return { env: { RELAY_PUBLIC_URL: hole.url }, lift: hole.close };
    },
    doctor: { hop: 'canary-websocket', code: 'CONNECTION_STALLS', cause: /answers nothing any more|came back/ },
  },
  {
    name: 'a relay is of another version',
    async plant({ one }) {
      const older = createHttpServer((_asked, answer) => {
        answer.end(JSON.stringify({ ok: true, status: 'ready', node: 'older', version: '0.0.9', groupLog: 'redis' }));
      });
      const { port, close } = await listening(older);
      return { where: { nodes: [one.internalUrl, `http://127.0.0.1:${port}`] }, lift: close };
    },
    doctor: { hop: 'versions', code: 'VERSIONS_DIFFER', cause: /older 0\.0\.9/ },
  },
  {
    name: 'the origin of the pages is not allowed',
    plant: async () => ({ where: { origin: 'https://app.example.com' } }),
    doctor: { hop: 'cors', code: 'ORIGIN_REFUSED', cause: /the relay and the API refuse pages of https:\/\/app/ },
  },
  {
    name: 'the id of the group is spelled in another way',
    async plant({ one }) {
      const auth = { token: await tokenFor('somebody', ['42']) };
      const socket = io(one.url, { forceNew: true, transports: ['websocket'], auth, autoConnect: false });
      const joined = received(socket, 'joined-groups');
      socket.connect();
      await joined;
      return { where: { groupId: 'group-42' }, lift: () => void socket.close() };
    },
    doctor: { hop: 'group-id', code: 'NEAR_MISS', cause: /nobody is in group "group-42", and 1 users are in "42"/ },
  },
];

export const PLANTED_FAULTS: readonly PlantedFault[] = [...ADDRESSES, ...SECRETS, ...BETWEEN, ...STATES, ...REDIS];
