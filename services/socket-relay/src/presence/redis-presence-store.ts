import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { brokerUnavailable } from '../nodes/broker-errors.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import type { RedisConnections } from '../redis/connections.ts';
import { encodeMessage, groupChannel } from '../wire-format.ts';
import type { PresenceStore } from './presence-store.ts';

/** How long changes are gathered before they go to Redis, in milliseconds. */
const FLUSH_MS = 50;
const RETRY_MS = 1_000;
const TTL_SECONDS = 24 * 3_600;
/** How often the keys of groups without changes are kept alive, in milliseconds. */
const REFRESH_MS = 6 * 3_600_000;

/** How often each group's key is looked for, in milliseconds: a key that Redis has evicted says nothing. */
const CHECK_MS = 30_000;
const CHECKS_AT_ONCE = 64;

/**
 * Keeps a hash per group, with a field per node and user. Each node writes its own fields only. Fields of a node without a lease are
 * ghosts: nobody counts them, and any node that sees them takes them out.
 */
export function createRedisPresenceStore(deps: {
  redis: RedisConnections;
  node: string;
  leases: Pick<NodeLeases, 'nodes' | 'onNodes' | 'onChange'>;
  log: Logger;
  checkMs?: number;
}): PresenceStore {
  const { redis, node, leases, log, checkMs = CHECK_MS } = deps;
  const { names } = redis;
  const own = new Map<string, Map<string, number>>();
  const listeners: ((groupId: string) => void)[] = [];
  const warn = warnOnceEvery(60_000);
  /** Fields to be written: group, then user. */
  let waiting = new Map<string, Set<string>>();
  let timer: NodeJS.Timeout | undefined;
  let nodes: ReadonlySet<string> = new Set([node]);
  let stopped = false;

  const keyOf = (groupId: string): string => `${names.groupKey(groupId)}:presence`;
  const fieldOf = (userId: string): string => `${node}\n${userId}`;

  function plan(groupId: string, userId: string, delayMs = FLUSH_MS): void {
    waiting.set(groupId, (waiting.get(groupId) ?? new Set()).add(userId));
    if (!stopped) timer ??= setTimeout(() => void flush(), delayMs);
  }

  /** Writes in one pipeline, so that a later write is later. */
  async function write(groupId: string, userIds: ReadonlySet<string>): Promise<void> {
    // A pipeline to a cluster that is away would wait until it is back, and then write outdated numbers.
    if (!redis.isReady()) throw new Error('redis is away');
    const key = keyOf(groupId);
    const here = own.get(groupId);
    const present = [...userIds].filter((userId) => here?.has(userId));
    const gone = [...userIds].filter((userId) => !here?.has(userId));
    const pipeline = redis.commands.pipeline();
    if (present.length > 0) {
      pipeline.hset(key, ...present.flatMap((userId) => [fieldOf(userId), String(here?.get(userId))]));
      pipeline.expire(key, TTL_SECONDS);
    }
    if (gone.length > 0) pipeline.hdel(key, ...gone.map(fieldOf));
    pipeline.spublish(names.channel(groupChannel(groupId)), encodeMessage({ type: 'presence-changed', node }));
    const results = (await pipeline.exec()) ?? [];
    const failed = results.find(([error]) => error);
    if (failed) throw failed[0];
  }

  async function flush(): Promise<void> {
    timer = undefined;
    const batch = waiting;
    waiting = new Map();
    await Promise.all(
      [...batch].map(async ([groupId, userIds]) => {
        try {
          await write(groupId, userIds);
        } catch (error) {
          warn('write', (suppressed) => {
            log.warn({ err: error, suppressed }, 'unable to tell other relays who is here; will try again');
          });
          for (const userId of userIds) plan(groupId, userId, RETRY_MS);
        }
      }),
    );
  }

  /** After an outage Redis may know nothing, or the state from before it. */
  function writeAll(): void {
    for (const [groupId, users] of own) for (const userId of users.keys()) plan(groupId, userId);
  }
  redis.commands.on('ready', writeAll);
  // To other nodes a node without a lease is a ghost, and they take out its fields.
  leases.onChange((held) => {
    if (held) writeAll();
  });

  async function check(groupId: string): Promise<void> {
    const [userId] = own.get(groupId)?.keys() ?? [];
    if (userId === undefined || waiting.has(groupId)) return;
    const isThere = (await redis.commands.hexists(keyOf(groupId), fieldOf(userId))) === 1;
    if (isThere || !own.get(groupId)?.has(userId)) return;
    for (const lost of own.get(groupId)?.keys() ?? []) plan(groupId, lost);
  }

  let checking = false;
  const isOver = (): boolean => stopped;
  async function checkAll(): Promise<void> {
    checking = true;
    try {
      const groupIds = [...own.keys()];
      for (let start = 0; start < groupIds.length && !isOver(); start += CHECKS_AT_ONCE) {
        await Promise.all(groupIds.slice(start, start + CHECKS_AT_ONCE).map(check));
      }
    } catch (error) {
      log.debug({ err: error }, 'unable to check whether redis still knows who is here');
    } finally {
      checking = false;
    }
  }
  const checks = setInterval(() => {
    if (!checking && redis.isReady()) void checkAll();
  }, checkMs);
  checks.unref();
  const refreshing = setInterval(writeAll, REFRESH_MS);
  refreshing.unref();
  leases.onNodes((now) => {
    const lost = [...nodes].some((other) => !now.has(other));
    nodes = now;
    if (lost) for (const groupId of own.keys()) for (const listener of listeners) listener(groupId);
  });

  async function liveNodes(named: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    // A node that started a moment ago is no ghost.
    if ([...named].some((other) => !nodes.has(other))) nodes = new Set(await leases.nodes());
    return nodes;
  }

  return {
    set(groupId, userId, connections) {
      const users = own.get(groupId) ?? new Map<string, number>();
      if (connections > 0) own.set(groupId, users.set(userId, connections));
      else users.delete(userId);
      if (users.size === 0) own.delete(groupId);
      plan(groupId, userId);
    },
    async read(groupId) {
      try {
        const fields = Object.entries(await redis.commands.hgetall(keyOf(groupId)));
        const parsed = fields.map(([field, count]) => {
          const [from = '', userId = ''] = field.split('\n');
          return { field, from, userId, count: Number(count) };
        });
        const live = await liveNodes(new Set(parsed.map(({ from }) => from)));
        const ghosts = parsed.filter(({ from }) => !live.has(from) && from !== node);
        if (ghosts.length > 0) await redis.commands.hdel(keyOf(groupId), ...ghosts.map(({ field }) => field));
        // This node knows its own users better than Redis does.
        const users = new Map(own.get(groupId));
        for (const { from, userId, count } of parsed) {
          if (from !== node && live.has(from)) users.set(userId, (users.get(userId) ?? 0) + count);
        }
        return users;
      } catch (cause) {
        throw brokerUnavailable(`tell who is in group "${groupId}"`, cause);
      }
    },
    onChange: (listener) => void listeners.push(listener),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      clearInterval(refreshing);
      clearInterval(checks);
      redis.commands.off('ready', writeAll);
      const all = [...own].map(([groupId, users]) => [groupId, new Set(users.keys())] as const);
      own.clear();
      await Promise.allSettled(all.map(async ([groupId, userIds]) => write(groupId, userIds)));
    },
  };
}
