import type { Logger } from '@groupcast/service-kit';
import type { Position } from '@groupcast/shared';
import type { RelayConfig } from '../config.ts';
import { createRedisGroupLog } from '../group-log/redis-group-log.ts';
import type { RelayMetrics } from '../metrics.ts';
import { createRedisPresenceStore } from '../presence/redis-presence-store.ts';
import type { Broker } from './broker.ts';
import { connectRedis, type RedisConnections, type RedisTarget } from './redis.ts';
import { startRedisChangeLog } from './redis-change-log.ts';
import { createRedisLeases } from './redis-leases.ts';
import { warnOfEviction } from './redis-memory.ts';
import { createShardChannels } from './shard-channels.ts';

/** A relay that starts while Redis is away waits so long, in milliseconds, and then leaves it to whoever started it. */
const CONNECT_TIMEOUT_MS = 10_000;

async function whenReady(redis: RedisConnections): Promise<void> {
  const deadline = performance.now() + CONNECT_TIMEOUT_MS;
  while (!redis.isReady() || redis.subscriber.status !== 'ready' || redis.blocking.status !== 'ready') {
    if (performance.now() > deadline) throw new Error('unable to start; REDIS_URL is set, and redis does not answer');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Throws when Redis cannot be reached. */
export async function openRedisBroker(deps: {
  target: RedisTarget;
  node: string;
  config: RelayConfig;
  metrics: RelayMetrics;
  seen: (groupId: string) => Position | null;
  log: Logger;
}): Promise<Broker> {
  const { node, config, metrics, seen, log } = deps;
  const redis = await connectRedis(deps.target, log);
  try {
    await whenReady(redis);
  } catch (error) {
    redis.close();
    throw error;
  }
  await warnOfEviction(redis.commands, log);
  const channels = createShardChannels({ redis, node, metrics, log });
  return {
    name: 'redis',
    groupLogKind: 'redis',
    channels,
    groupLog: createRedisGroupLog({ redis: redis.commands, node, ...config.history, seen }),
    renewLease: createRedisLeases(redis.commands),
    openPresence: (leases) => createRedisPresenceStore({ redis, node, leases, log }),
    startChangeLog: async (options) =>
      startRedisChangeLog({
        redis,
        memoryMs: config.removalMemoryMs,
        maxEntries: config.removalMemoryEntries,
        ...options,
      }),
    isReady: () => redis.isReady() && !redis.isFull(),
    stop() {
      channels.stop();
      redis.close();
    },
  };
}
