import { Cluster, Redis } from 'ioredis';
import { addressOf, type RedisTarget } from './target.ts';

export type RedisClient = Redis | Cluster;

/** How long a command may take, in milliseconds. A command without an answer by then has failed. */
export const COMMAND_TIMEOUT_MS = 2_000;
const MAX_RECONNECT_DELAY_MS = 500;
/** How long after a server that may not be written to the next attempts take their longest delay, in milliseconds. */
const UNFIT_FOR_MS = 5_000;

const OPTIONS = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  connectTimeout: COMMAND_TIMEOUT_MS,
  lazyConnect: true,
};

/** Retries without end: the relay does not give up on an outage of Redis. */
export function retryDelay(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS);
}

export interface RedisClientOptions {
  /** How long a command without an answer may take, in milliseconds. Commands that open the connection are included. */
  commandTimeout: number;
  /** Is called with every error that Redis answers; returns whether the connection leads to the wrong server, and has to be made anew. */
  isMisdirected: (error: Error) => boolean;
  /** Its name in Redis's `CLIENT LIST`. */
  connectionName?: string | undefined;
}

export function createRedisClient(target: RedisTarget, options: RedisClientOptions): RedisClient {
  const { commandTimeout, connectionName } = options;
  let unfitAt = Number.NEGATIVE_INFINITY;
  /** A name or a proxy that still leads to the old server is asked again, but not at full speed. */
  const retryStrategy = (attempt: number): number =>
    performance.now() - unfitAt < UNFIT_FOR_MS ? MAX_RECONNECT_DELAY_MS : retryDelay(attempt);
  const reconnectOnError = (error: Error): boolean => {
    const isMisdirected = options.isMisdirected(error);
    if (isMisdirected) unfitAt = performance.now();
    return isMisdirected;
  };
  const named = connectionName === undefined ? {} : { connectionName };
  const shared = { ...OPTIONS, ...named, commandTimeout, reconnectOnError };
  switch (target.kind) {
    case 'server':
      return new Redis(target.url, { ...shared, retryStrategy });
    case 'sentinel': {
      const { sentinels, master, password } = target;
      return new Redis({
        ...shared,
        retryStrategy,
        sentinels: [...sentinels],
        name: master,
        sentinelRetryStrategy: retryDelay,
        // Without it the client waits without end for a sentinel that takes the question and says nothing.
        sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
        failoverDetector: true,
        ...(password === undefined ? {} : { password }),
      });
    }
    case 'cluster': {
      const [first] = target.urls.map((url) => new URL(url));
      const { enableOfflineQueue: _, ...redisOptions } = shared;
      return new Cluster(target.urls.map(addressOf), {
        redisOptions: {
          ...redisOptions,
          ...(first?.password ? { password: decodeURIComponent(first.password) } : {}),
          ...(first?.username ? { username: decodeURIComponent(first.username) } : {}),
          ...(first?.protocol === 'rediss:' ? { tls: {} } : {}),
        },
        enableOfflineQueue: false,
        shardedSubscribers: true,
        slotsRefreshTimeout: COMMAND_TIMEOUT_MS,
        clusterRetryStrategy: retryDelay,
        lazyConnect: true,
      });
    }
    default: {
      const unreachable: never = target;
      return unreachable;
    }
  }
}
