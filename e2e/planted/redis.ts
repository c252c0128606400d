import { freePort, startRelayProcess, until } from '@groupcast/testing';
import { ALL_RIGHTS, OTHER_SECRETS, type PlantedFault, relaysTogether, type Stage, setRedisUser } from './stage.ts';

async function killRedis(stage: Stage): Promise<() => Promise<void>> {
  await stage.redis.kill();
  return async () => {
    await stage.redis.restart();
    setRedisUser(stage.redis, ...ALL_RIGHTS);
    await relaysTogether(stage);
  };
}

/** Redis, and what relays share in it. */
export const REDIS: readonly PlantedFault[] = [
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
      return { lift: await killRedis(stage) };
    },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'Redis is down, and no REDIS_URL',
    async plant(stage) {
      const lift = await killRedis(stage);
      await until('the relay to say so', async () => !(await fetch(`${stage.one.internalUrl}/readyz`)).ok);
      return { env: { REDIS_URL: '' }, lift };
    },
    doctor: {
      hop: 'redis',
      code: 'REDIS_UNREACHABLE',
      cause: /the relay at .* cannot use Redis \(failing: redis\)/,
      fix: /^start Redis; to see why, run this with REDIS_URL of the relays$/,
    },
  },
];
