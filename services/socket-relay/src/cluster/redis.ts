import type { Logger } from '@groupcast/service-kit';
import { Cluster, Redis } from 'ioredis';
import { watchRedisMemory } from './redis-memory.ts';

/** Where Redis is: one server, a cluster, or the master that a sentinel knows. */
export type RedisTarget =
  | { kind: 'server'; url: string }
  | { kind: 'cluster'; urls: readonly string[] }
  | { kind: 'sentinel'; sentinels: readonly { host: string; port: number }[]; master: string; password?: string };

export type RedisClient = Redis | Cluster;

/** The connections of one relay. Whatever is asked of them while Redis is away fails at once, and is not queued. */
export interface RedisConnections {
  /** For commands that answer at once. */
  readonly commands: RedisClient;
  /** For shard channels. */
  readonly subscriber: RedisClient;
  /** For one command that waits. */
  readonly blocking: RedisClient;
  isReady: () => boolean;
  /** It refuses to store anything for lack of memory. */
  isFull: () => boolean;
  close(): void;
}

/** What is not answered by then has failed, in milliseconds. */
const COMMAND_TIMEOUT_MS = 2_000;
const MAX_RECONNECT_DELAY_MS = 500;
const PROBE_INTERVAL_MS = 1_000;
const MAX_UNANSWERED = 2;
const DEFAULT_PORT = 6_379;

/** `undefined` where the text is none of `redis://…`, `rediss://…`, a list of them, `redis+sentinel://host,host/master`. */
export function parseRedisUrl(text: string): RedisTarget | undefined {
  const isServer = (url: string): boolean => /^rediss?:$/.test(URL.canParse(url) ? new URL(url).protocol : '');
  if (text.startsWith('redis+sentinel://')) {
    const [, password, hosts = '', master = ''] = /^redis\+sentinel:\/\/(?::([^@]*)@)?([^/]+)\/(.+)$/.exec(text) ?? [];
    const sentinels = hosts.split(',').map((host) => {
      const [name = '', port = '26379'] = host.split(':');
      return { host: name, port: Number(port) };
    });
    const valid = master !== '' && sentinels.every(({ host, port }) => host !== '' && Number.isInteger(port));
    if (!valid) return undefined;
    return { kind: 'sentinel', sentinels, master, ...(password ? { password: decodeURIComponent(password) } : {}) };
  }
  const urls = text.split(',').map((url) => url.trim());
  if (!urls.every(isServer)) return undefined;
  const [url = ''] = urls;
  return urls.length === 1 ? { kind: 'server', url } : { kind: 'cluster', urls };
}

const OPTIONS = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  connectTimeout: COMMAND_TIMEOUT_MS,
  lazyConnect: true,
};

/** Retries without end: an outage is for Redis to end, and not for the relay to give up on. */
const retryDelay = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS);

function connect(target: RedisTarget, options: { commandTimeout?: number }): RedisClient {
  const shared = { ...OPTIONS, ...options };
  const merged = { ...shared, retryStrategy: retryDelay };
  switch (target.kind) {
    case 'server':
      return new Redis(target.url, merged);
    case 'sentinel': {
      const { sentinels, master, password } = target;
      return new Redis({
        ...merged,
        sentinels: [...sentinels],
        name: master,
        sentinelRetryStrategy: retryDelay,
        failoverDetector: true,
        ...(password === undefined ? {} : { password }),
      });
    }
    case 'cluster': {
      const [first] = target.urls.map((url) => new URL(url));
      const { enableOfflineQueue: _, ...redisOptions } = shared;
      const clusterOptions = {
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
      };
      return new Cluster(
        target.urls.map((url) => ({
          host: new URL(url).hostname,
          port: Number(new URL(url).port || DEFAULT_PORT),
        })),
        clusterOptions,
      );
    }
    default: {
      const unreachable: never = target;
      return unreachable;
    }
  }
}

/**
 * What is asked in one turn leaves in one write. Redis then reads it at once, and what it hands on to the other relays reaches
 * them together too: a burst costs each of their connections one write, and not one for every piece.
 */
function gatherWrites(client: Redis, onError: (error: Error) => void): void {
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, pipeline) => {
    const { reject } = command;
    command.reject = (error) => {
      onError(error);
      reject(error);
    };
    const { stream } = client;
    if (stream?.writableCorked === 0) {
      stream.cork();
      setImmediate(() => stream.uncork());
    }
    return send(command, pipeline);
  };
}

/** Resolves once all three are there; goes on trying for ever, and says so once a minute. */
export async function connectRedis(target: RedisTarget, log: Logger): Promise<RedisConnections> {
  const clients = {
    commands: connect(target, { commandTimeout: COMMAND_TIMEOUT_MS }),
    subscriber: connect(target, { commandTimeout: COMMAND_TIMEOUT_MS }),
    blocking: connect(target, {}),
  };
  let ready = false;
  let closed = false;
  for (const [name, client] of Object.entries(clients)) {
    // Without a listener an error event ends the process.
    client.on('error', (error: Error) => log.debug({ err: error, connection: name }, 'redis connection failed'));
    // ioredis gives up for good when it hears of a failover at the moment in which it asks a sentinel for the master.
    client.on('end', () => {
      if (closed) return;
      log.warn({ connection: name }, 'a connection to redis was given up; connecting anew');
      setTimeout(() => {
        if (!closed) client.connect().catch(() => undefined);
      }, retryDelay(0)).unref();
    });
  }
  const { commands } = clients;
  const memory = watchRedisMemory(log);
  const prepare = (client: Redis): void => gatherWrites(client, (error) => memory.noted(error));
  if (commands instanceof Cluster) commands.on('+node', prepare);
  else prepare(commands);
  commands.on('ready', () => {
    if (!ready) log.info('connected to redis');
    ready = true;
  });
  commands.on('close', () => {
    if (ready && !closed) log.warn('redis is away; trying to reach it again');
    ready = false;
  });
  for (const client of Object.values(clients)) {
    // The first attempt may fail; the client goes on by itself.
    client.connect().catch(() => undefined);
  }
  /** A connection that takes commands and answers none is a dead one, whatever it looks like. */
  let unanswered = 0;
  const probing = setInterval(() => {
    if (commands.status !== 'ready') return;
    commands.ping().then(
      () => {
        unanswered = 0;
      },
      () => {
        unanswered += 1;
        if (unanswered < MAX_UNANSWERED || closed || commands.status !== 'ready') return;
        unanswered = 0;
        log.warn('the connection to redis is dead; connecting anew');
        commands.disconnect(true);
      },
    );
  }, PROBE_INTERVAL_MS);
  probing.unref();

  return {
    ...clients,
    isReady: () => ready,
    isFull: () => memory.isFull(),
    close() {
      closed = true;
      clearInterval(probing);
      for (const client of Object.values(clients)) client.disconnect();
    },
  };
}
