import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { Cluster, type Redis } from 'ioredis';
import { RELAYS } from '../wire-format.ts';
import { COMMAND_TIMEOUT_MS, createRedisClient, type RedisClient, retryDelay } from './clients.ts';
import { inOurWords, isMisdirection, isRefusal, isReply } from './errors.ts';
import { watchRedisMemory } from './memory.ts';
import { createRedisNames, type RedisNames } from './names.ts';
import type { RedisTarget } from './target.ts';

/** Connections that carry channels. A command while Redis is away fails at once, and is not queued. */
export interface ChannelConnections {
  /** Carries commands that answer at once. */
  readonly commands: RedisClient;
  /** Carries shard channels. */
  readonly subscriber: RedisClient;
  /** The names of the relay's keys and channels. */
  readonly names: RedisNames;
  /** Whether a write has succeeded over the connection that is open now, and none has failed since. */
  isReady: () => boolean;
  /** Whether Redis refuses to store anything for lack of memory. */
  isFull: () => boolean;
  /** The last reason that was heard for Redis being unusable. */
  trouble: () => string | undefined;
  /** Writes the commands of this turn at once, before anything else leaves. */
  sendNow(): void;
  close(): void;
}

/** The connections of one relay. */
export interface RedisConnections extends ChannelConnections {
  /** Carries one command that waits, for `BLOCK_MS` at most. */
  readonly blocking: RedisClient;
}

/** The name of the connections of transient events in Redis's `CLIENT LIST`. */
const TRANSIENT_CONNECTION = 'groupcast-transient';
/** How long the command that waits may wait, in milliseconds. */
export const BLOCK_MS = 1_000;
/** How much later than that an answer may come, in milliseconds. A connection whose answer is later is dead. */
const OVERDUE_MS = 3_000;
const PROBE_INTERVAL_MS = 1_000;
const MAX_UNANSWERED = 2;
const ONE_NODE = 'REDIS_URL leads to one node of a Redis Cluster; list several of its nodes there, comma-separated';
/** How often at most connections that lead to the wrong server are made anew, in milliseconds. All of them are made anew together. */
const REDIRECT_INTERVAL_MS = 250;

/**
 * Gathers the commands of one turn into one write. Redis then reads them at once, and what it passes on to the other relays reaches them
 * together too: a burst costs each of their connections one write, and not one for every command.
 */
function gatherWrites(client: Redis, gathering: Set<Redis['stream']>): void {
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, pipeline) => {
    const { stream } = client;
    if (stream && !gathering.has(stream)) {
      gathering.add(stream);
      stream.cork();
      setImmediate(() => {
        if (gathering.delete(stream)) stream.uncork();
      });
    }
    return send(command, pipeline);
  };
}

/** Replaces the error of every command that fails for good by what `onError` makes of it. */
function watchErrors(client: RedisClient, onError: (error: Error) => Error): void {
  const watched = client as Redis;
  const send = watched.sendCommand.bind(watched);
  watched.sendCommand = (command, ...rest) => {
    const { reject } = command;
    command.reject = (error) => reject(onError(error));
    return send(command, ...rest);
  };
}

/** Opens the three connections of what has to arrive, and goes on trying for ever. Logs once a minute what keeps the relay from Redis, and when that is over. */
export async function connectRedis(target: RedisTarget, log: Logger, prefix?: string): Promise<RedisConnections> {
  return connect(target, log, prefix, { blocking: BLOCK_MS + OVERDUE_MS });
}

/** Opens two more connections in the same way, so that what travels on them is in nobody's way, and may be lost alone. */
export function connectChannels(target: RedisTarget, log: Logger, prefix?: string): ChannelConnections {
  return connect(target, log, prefix, {}, TRANSIENT_CONNECTION);
}

/** `timeouts`: how long a command of each further connection may take, in milliseconds. */
function connect<Name extends string>(
  target: RedisTarget,
  log: Logger,
  prefix: string | undefined,
  timeouts: Readonly<Record<Name, number>>,
  connectionName?: string,
): ChannelConnections & Record<Name, RedisClient> {
  const names = createRedisNames(prefix, target.kind === 'server' ? target.database : 0);
  const warn = warnOnceEvery(60_000);
  const memory = watchRedisMemory(log);
  let ready = false;
  let closed = false;
  let lostAt: number | undefined;
  let trouble: string | undefined;
  let redirectedAt = Number.NEGATIVE_INFINITY;
  const open = (commandTimeout: number): RedisClient =>
    createRedisClient(target, { commandTimeout, isMisdirected, connectionName });
  const further = Object.fromEntries(
    Object.entries<number>(timeouts).map(([name, timeoutMs]) => [name, open(timeoutMs)]),
  ) as Record<Name, RedisClient>;
  const commands = open(COMMAND_TIMEOUT_MS);
  const clients = { ...further, commands, subscriber: open(COMMAND_TIMEOUT_MS) };

  function isMisdirected(error: Error): boolean {
    if (closed || !isMisdirection(error, target.kind)) return false;
    redirect(error.message);
    return true;
  }

  /** Makes all of them anew: a connection that only listens hears nothing from the wrong server, and cannot notice that. */
  function redirect(reason: string): void {
    trouble = reason;
    if (performance.now() - redirectedAt < REDIRECT_INTERVAL_MS) return;
    redirectedAt = performance.now();
    warn('redirect', (suppressed) => {
      log.warn(
        { reason, suppressed },
        'redis takes no writes where this relay is connected; looking for the master again',
      );
    });
    setImmediate(() => {
      for (const client of Object.values<RedisClient>(clients))
        if (!closed && client.status === 'ready') client.disconnect(true);
    });
  }

  function onConnectionError(connection: string, failure: Error & { lastNodeError?: Error }): void {
    const error = inOurWords(failure.lastNodeError ?? failure);
    log.debug({ err: error, connection }, 'redis connection failed');
    if (closed) return;
    trouble = error.message;
    const isRefused = isRefusal(error);
    if (!isRefused && ready) return;
    warn(isRefused ? 'refused' : 'away', (suppressed) => {
      const advice = 'redis refuses this relay; look at the user and the password in REDIS_URL';
      log.warn({ reason: error.message, suppressed }, isRefused ? advice : 'unable to connect to redis; trying again');
    });
  }

  function lose(reason: string): void {
    if (!ready || closed) return;
    ready = false;
    lostAt = performance.now();
    log.warn({ reason }, 'redis is away; trying to reach it again');
  }

  function find(): void {
    if (ready || closed || commands.status !== 'ready') return;
    ready = true;
    trouble = undefined;
    if (lostAt === undefined) log.info('connected to redis');
    else log.info({ awayMs: Math.round(performance.now() - lostAt) }, 'redis is back');
  }

  let proving = false;
  let unanswered = 0;
  /**
   * Writes over the connection that the relay writes with, but writes nothing: a replica answers a PING and refuses this, and a Redis that
   * is out of memory takes it. A connection that takes commands and answers none is dead, whatever it looks like.
   */
  async function prove(): Promise<void> {
    if (proving || closed || commands.status !== 'ready') return;
    proving = true;
    try {
      await commands.unlink(names.key(`${RELAYS}:probe`));
      unanswered = 0;
      find();
    } catch (error) {
      if (isReply(error)) {
        unanswered = 0;
        const isElsewhere = error.message.startsWith('MOVED ');
        trouble = isElsewhere ? ONE_NODE : error.message;
        if (!isElsewhere)
          warn('writes', (suppressed) => log.warn({ reason: error.message, suppressed }, 'redis takes no writes'));
        lose(error.message);
      } else if ((unanswered += 1) >= MAX_UNANSWERED && !closed && commands.status === 'ready') {
        unanswered = 0;
        log.warn('the connection to redis is dead; connecting again');
        commands.disconnect(true);
      }
    } finally {
      proving = false;
    }
  }

  for (const [name, client] of Object.entries<RedisClient>(clients)) {
    watchErrors(client, (error) => {
      memory.noted(error);
      return inOurWords(error);
    });
    // Without a listener an error event ends the process.
    for (const event of ['error', 'node error', 'sentinelError']) {
      client.on(event, (error: Error) => onConnectionError(name, error));
    }
    // ioredis gives up for good when it hears of a failover at the moment in which it asks a sentinel for the master.
    client.on('end', () => {
      if (closed) return;
      log.warn({ connection: name }, 'a connection to redis was given up; connecting again');
      setTimeout(() => {
        if (!closed) client.connect().catch(() => undefined);
      }, retryDelay(0)).unref();
    });
  }
  const gathering = new Set<Redis['stream']>();
  if (commands instanceof Cluster) commands.on('+node', (client: Redis) => gatherWrites(client, gathering));
  else gatherWrites(commands, gathering);
  commands.on('ready', () => void prove());
  commands.on('close', () => lose('the connection was lost'));
  // The first attempt may fail; the client goes on by itself.
  for (const client of Object.values<RedisClient>(clients)) client.connect().catch(() => undefined);
  const probing = setInterval(() => void prove(), PROBE_INTERVAL_MS);
  probing.unref();

  return {
    ...clients,
    names,
    isReady: () => ready,
    isFull: () => memory.isFull(),
    trouble: () => trouble,
    sendNow() {
      for (const stream of gathering) stream.uncork();
      gathering.clear();
    },
    close() {
      closed = true;
      clearInterval(probing);
      for (const client of Object.values<RedisClient>(clients)) client.disconnect();
    },
  };
}
