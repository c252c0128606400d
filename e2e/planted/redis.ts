import { until } from '@groupcast/testing';
import { killRedis, type PlantedFault } from './stage.ts';

/** Redis. */
export const REDIS: readonly PlantedFault[] = [
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
