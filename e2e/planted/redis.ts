import { tokenFor, until } from '@groupcast/testing';
import { connect, NoConnection } from '../../packages/cli/src/doctor/sockets.ts';
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
  {
    name: 'Redis has been down for longer than a lease, and only the public ports are known',
    async plant(stage) {
      const lift = await killRedis(stage);
      const auth = { token: await tokenFor('somebody') };
      await until(
        'the relay to refuse clients',
        async () => {
          const refused = await connect({ url: stage.one.url, transport: 'websocket', auth }, 5_000).then(
            (client) => client.close(),
            (error: unknown) => error,
          );
          return refused instanceof NoConnection && refused.code === 'BROKER_UNAVAILABLE';
        },
        30_000,
      );
      return { env: { REDIS_URL: '', RELAY_INTERNAL_URL: '' }, lift };
    },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /BROKER_UNAVAILABLE|cannot use Redis/ },
  },
];
