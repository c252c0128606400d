import {
  freePort,
  type PostgresServer,
  type RedisServer,
  type ServiceProcess,
  startApiProcess,
  startPostgres,
  startRedis,
  startRelayProcess,
  startTcpProxy,
  type TcpProxy,
  TEST_SECRETS,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { FaultCode, Hop } from '../../packages/cli/src/doctor/hops.ts';
import type { Whereabouts } from '../../packages/cli/src/doctor/patient.ts';

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
  /** Asks the database of the API. */
  sql(text: string): Promise<unknown[]>;
  /** Between the API and its relay. */
  apiWire: TcpProxy;
  /** Between the second relay and the API. */
  backWire: TcpProxy;
  /** The environment in which a command finds all this, and nothing is wrong. */
  env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Short, so that what happens after a lease is not waited for. */
const LEASE = { NODE_LEASE_SECONDS: '5' };
/** The second relay is patient with pages that do not read. */
const PATIENT = { PING_TIMEOUT_MS: '60000' };
/** The usual vocabulary of clients at the first relay, which says less than the native one. */
const DIALECT = { RELAY_DIALECT: 'underscore-message' };
export const OTHER_SECRETS = {
  JWT_SECRET: 'user-tokens-of-somebody-else-0123456789abcdef',
  RELAY_SERVICE_SECRET: 'service-tokens-of-somebody-else-0123456789',
} as const;
const REDIS_USER = { name: 'two', password: 'two' };

/** The second relay's user of Redis, whose rights can be taken away. A Redis that was restarted has forgotten it. */
export function setRedisUser(redis: RedisServer, ...rights: readonly string[]): void {
  redis.ask('acl', 'setuser', REDIS_USER.name, ...rights);
}
export const ALL_RIGHTS = ['on', `>${REDIS_USER.password}`, '~*', '&*', '+@all'];

/** Starts everything at once. The second relay has a user of its own in Redis. */
export async function setStage(): Promise<Stage> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  setRedisUser(redis, ...ALL_RIGHTS);
  const [apiPort, onePort] = [await freePort(), await freePort()];
  const [apiWire, backWire] = [await startTcpProxy(onePort), await startTcpProxy(apiPort)];
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const twosRedis = `redis://${REDIS_USER.name}:${REDIS_USER.password}@127.0.0.1:${redis.port}`;
  const database = await postgres.createDatabase();
  const starting = [
    startApiProcess({
      DATABASE_URL: database,
      API_PORT: String(apiPort),
      RELAY_URL: `http://127.0.0.1:${apiWire.port}`,
    }),
    startRelayProcess({
      API_URL: apiUrl,
      REDIS_URL: redis.url,
      RELAY_PORT: String(onePort),
      RELAY_WS_PATH: '/ws',
      ...DIALECT,
      ...LEASE,
    }),
    startRelayProcess({ API_URL: `http://127.0.0.1:${backWire.port}`, REDIS_URL: twosRedis, ...LEASE, ...PATIENT }),
    startRelayProcess(),
    startRelayProcess(OTHER_SECRETS),
    startRelayProcess({ JWT_SECRET: OTHER_SECRETS.JWT_SECRET }),
  ] as const;
  const stopAll = async (): Promise<void> => {
    for (const each of await Promise.allSettled(starting)) if (each.status === 'fulfilled') await each.value.stop();
    await Promise.all([apiWire.close(), backWire.close(), redis.stop(), postgres.stop()]);
  };
  const [api, one, two, lone, foreign, strange] = await Promise.all(starting).catch(async (error: unknown) => {
    await stopAll();
    throw error;
  });
  const sql: Stage['sql'] = async (text) => (await postgres.query(text, database)).rows;
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
  return { api, one, two, lone, foreign, strange, redis, postgres, sql, apiWire, backWire, env, stop: stopAll };
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
  doctor: {
    hop: Hop;
    code: FaultCode;
    cause: RegExp;
    fix?: RegExp /** Hops that cannot be tested then. */;
    skips?: readonly Hop[];
  };
}

export const serviceToken = async (scope: 'broadcast' | 'admin'): Promise<string> =>
  signServiceToken({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, scopes: [scope], subject: 'test' });

/** A change of members is done when every relay has it, so each of the two reaches the other. */
export async function relaysTogether({ one, two }: Pick<Stage, 'one' | 'two'>): Promise<void> {
  const headers = { authorization: `Bearer ${await serviceToken('broadcast')}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ groupId: 'together', userIds: ['nobody'] });
  const reachesAll = async ({ internalUrl }: Relay): Promise<boolean> =>
    (await fetch(`${internalUrl}/v1/members/add`, { method: 'POST', headers, body })).ok &&
    (await fetch(`${internalUrl}/readyz`)).ok;
  await until('each relay to reach the other', async () => (await reachesAll(one)) && reachesAll(two), 30_000);
}

/** Resolves with how it is started again. */
export async function killRedis(stage: Stage): Promise<() => Promise<void>> {
  await stage.redis.kill();
  return async () => {
    await stage.redis.restart();
    setRedisUser(stage.redis, ...ALL_RIGHTS);
    await relaysTogether(stage);
  };
}

/** Resolves once the database takes no writes, or takes them again. */
export async function setReadOnly(postgres: PostgresServer, value: 'on' | 'off'): Promise<void> {
  await postgres.query(`alter system set default_transaction_read_only = ${value}`);
  await postgres.query('select pg_reload_conf()');
  await until('PostgreSQL to know', async () => {
    const { rows } = await postgres.query('show default_transaction_read_only');
    return (rows[0] as { default_transaction_read_only: string }).default_transaction_read_only === value;
  });
}
