import type { Logger } from '@groupcast/service-kit';
import type { RelayConfig } from '../config.ts';
import { createClusterFeed } from '../fan-out/cluster-feed.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupFeed } from '../fan-out/group-feed.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import { createRedisGroupLog } from '../group-log/redis-group-log.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { PresenceStore } from '../presence/presence-store.ts';
import { createRedisPresenceStore } from '../presence/redis-presence-store.ts';
import { type NodeLeases, startNodeLeases } from './node-leases.ts';
import { type NodeRequests, startNodeRequests } from './node-requests.ts';
import { connectRedis, type RedisConnections, type RedisTarget } from './redis.ts';
import { createShardChannels, type ShardChannels } from './shard-channels.ts';

/** What this relay shares with others. */
export interface ClusterMembership {
  redis: RedisConnections;
  channels: ShardChannels;
  leases: NodeLeases;
  requests: NodeRequests;
  groupLog: GroupLog;
  feed: GroupFeed;
  presence: PresenceStore;
  /** Redis can be reached, and the lease holds. */
  isHealthy(): boolean;
  stop(): Promise<void>;
}

/** A relay that starts while Redis is away waits so long, in milliseconds, and then leaves it to whoever started it. */
const CONNECT_TIMEOUT_MS = 10_000;

async function whenReady(redis: RedisConnections): Promise<void> {
  const deadline = performance.now() + CONNECT_TIMEOUT_MS;
  while (!redis.isReady() || redis.subscriber.status !== 'ready' || redis.blocking.status !== 'ready') {
    if (performance.now() > deadline) throw new Error('unable to start; REDIS_URL is set, and redis does not answer');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Connects to Redis, takes a lease, and listens to the other relays. Throws when Redis cannot be reached. */
export async function joinCluster(deps: {
  target: RedisTarget;
  node: string;
  config: RelayConfig;
  fanOut: FanOut;
  metrics: RelayMetrics;
  hasMonitors: () => boolean;
  onPresence: (groupId: string) => void;
  log: Logger;
}): Promise<ClusterMembership> {
  const { node, config, fanOut, metrics, log } = deps;
  const redis = await connectRedis(deps.target, log);
  try {
    await whenReady(redis);
  } catch (error) {
    redis.close();
    throw error;
  }
  const channels = createShardChannels({ redis, node, metrics, log });
  const { leaseMs } = config;
  const leases = await startNodeLeases({ redis: redis.commands, node, leaseMs, hasMonitors: deps.hasMonitors, log });
  const requests = await startNodeRequests({ node, channels, leases, log });
  const groupLog = createRedisGroupLog({ redis: redis.commands, node, ...config.history, seen: fanOut.cursor });
  const feed = createClusterFeed({ node, fanOut, groupLog, channels, metrics, log, onPresence: deps.onPresence });
  const presence = createRedisPresenceStore({ redis, node, leases, channels, log });
  return {
    redis,
    channels,
    leases,
    requests,
    groupLog,
    feed,
    presence,
    isHealthy: () => redis.isReady() && leases.held(),
    async stop() {
      feed.stop();
      requests.stop();
      await leases.stop();
      channels.stop();
      redis.close();
    },
  };
}
