import { ConfigurationError, type Logger, StartFailure, warnOnceEvery } from '@groupcast/service-kit';
import type { Position } from '@groupcast/shared';
import { Cluster } from 'ioredis';
import type { RelayConfig } from '../config.ts';
import { createRedisGroupLog } from '../group-log/redis-group-log.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import { startRedisChangeLog } from '../nodes/redis-change-log.ts';
import { createShardChannels } from '../nodes/redis-channels.ts';
import { createRedisDeployment } from '../nodes/redis-deployment.ts';
import { createRedisLeases } from '../nodes/redis-leases.ts';
import { openRedisSessionStore } from '../nodes/redis-session-store.ts';
import { createRedisPresenceStore } from '../presence/redis-presence-store.ts';
import { connectChannels, connectRedis, type RedisConnections } from '../redis/connections.ts';
import { warnOfEviction } from '../redis/memory.ts';
import { createPatternChannels } from '../redis/pattern-channels.ts';
import type { RedisTarget } from '../redis/target.ts';
import type { Broker } from './broker.ts';

/** How long a relay that starts while Redis is away waits for it, in milliseconds. Then it exits, and is to be started again. */
const CONNECT_TIMEOUT_MS = 10_000;

const STRANGERS =
  'relays of another deployment (their RELAY_SERVICE_SECRET is another one) use the same REDIS_PREFIX in the same redis; neither delivers' +
  ' anything until the others are stopped: give one deployment a REDIS_PREFIX of its own or, where they are one and the secret is being' +
  ' changed, set RELAY_SERVICE_SECRET_PREVIOUS';

async function until(redis: RedisConnections, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + CONNECT_TIMEOUT_MS;
  while (!condition()) {
    if (performance.now() > deadline) {
      const why = redis.trouble();
      throw new StartFailure(
        `unable to start; REDIS_URL is set, and redis cannot be used${why === undefined ? '' : `: ${why}`}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function isClusterNode(redis: RedisConnections): Promise<boolean> {
  const { commands } = redis;
  if (commands instanceof Cluster) return false;
  await until(redis, () => commands.status === 'ready');
  // If INFO is not allowed, nobody can say.
  const info = await commands.info('cluster').catch(() => '');
  return /^cluster_enabled:1/m.test(info);
}

/** Opens the connections. A cluster may be named by one of its nodes, or by one address of all of them. */
async function open(
  target: RedisTarget,
  prefix: string,
  log: Logger,
): Promise<{ redis: RedisConnections; target: RedisTarget }> {
  const redis = await connectRedis(target, log, prefix);
  try {
    if (target.kind !== 'server' || !(await isClusterNode(redis))) {
      const { subscriber, blocking } = redis;
      await until(redis, () => redis.isReady() && subscriber.status === 'ready' && blocking.status === 'ready');
      return { redis, target };
    }
  } catch (error) {
    redis.close();
    throw error;
  }
  redis.close();
  if (target.database !== 0) {
    throw new ConfigurationError(['REDIS_URL names a database of a Redis Cluster, which has only database 0']);
  }
  log.info('REDIS_URL leads to a node of a Redis Cluster; connecting to all of them');
  return open({ kind: 'cluster', urls: [target.url] }, prefix, log);
}

/** Throws if Redis cannot be reached, and `ConfigurationError` if relays of another deployment are there. */
export async function openRedisBroker(deps: {
  target: RedisTarget;
  node: string;
  /** The same for all workers of one machine. */
  machine: string;
  config: RelayConfig;
  metrics: RelayMetrics;
  seen: (groupId: string) => Position | null;
  log: Logger;
}): Promise<Broker> {
  const { node, config, metrics, seen, log } = deps;
  const { redis, target } = await open(deps.target, config.redisPrefix, log);
  const { commands, names } = redis;
  const deployment = createRedisDeployment({ redis: commands, names, node, secrets: config.relaySecrets });
  try {
    await deployment.enter(config.leaseMs);
  } catch (error) {
    redis.close();
    throw error;
  }
  await warnOfEviction(commands, log);
  const warn = warnOnceEvery(60_000);
  const renewLease = createRedisLeases(commands, deployment, deps.machine);
  const channels = createShardChannels({ redis, node, metrics, log });
  const own = log.child({ carries: 'transient events' });
  // The same server, or the cluster that it has turned out to be part of.
  const transient = connectChannels(target, own, config.redisPrefix);
  const transientChannels = createShardChannels({ redis: transient, node: `${node}:transient`, metrics, log: own });
  return {
    name: 'redis',
    groupLogKind: 'redis',
    channels,
    transientChannels,
    patternChannels: createPatternChannels({
      subscriber: transient.subscriber,
      onMalformed: () => metrics.malformed.inc(),
      log: own,
    }),
    groupLog: createRedisGroupLog({ redis: commands, names, node, ...config.history, seen }),
    async renewLease(...args) {
      const answer = await renewLease(...args);
      const { strangers = [] } = answer;
      if (strangers.length > 0) {
        const { prefix, database } = names;
        warn('strangers', (suppressed) => log.error({ nodes: strangers, prefix, database, suppressed }, STRANGERS));
      }
      return answer;
    },
    openSessionStore: openRedisSessionStore({ redis, log }),
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
      transientChannels.stop();
      transient.close();
      channels.stop();
      redis.close();
    },
  };
}
