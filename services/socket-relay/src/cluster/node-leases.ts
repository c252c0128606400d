import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { RedisClient } from './redis.ts';

/** Which relays there are. A relay that cannot renew its lease knows, by its own clock, when the others stop counting on it. */
export interface NodeLeases {
  /** This node's lease holds for certain: no other node has stopped counting on it. */
  held: () => boolean;
  /** Every node whose lease holds, this one included, as Redis knows it now. */
  nodes(): Promise<string[]>;
  /** Some node has a monitor connected, as of the last renewal. */
  monitored: () => boolean;
  /** Called when the lease is lost, and when there is one again. */
  onChange(listener: (held: boolean) => void): void;
  /** Called with all nodes whenever others have come or gone, as of the last renewal. */
  onNodes(listener: (nodes: ReadonlySet<string>) => void): void;
  /** Gives the lease back. */
  stop(): Promise<void>;
}

export interface NodeLeaseOptions {
  redis: RedisClient;
  node: string;
  leaseMs: number;
  /** Does this node have a monitor connected? */
  hasMonitors: () => boolean;
  log: Logger;
}

const KEY = 'gc:{relays}:leases';
const MONITORS_KEY = 'gc:{relays}:monitors';
/** Renewed so often within a lease. */
const RENEWALS = 5;
/** Clocks run at different speeds, and a renewal takes a while. */
const SAFETY = 0.9;

/** By Redis's clock, the only one that all nodes share. ARGV: node, lease in ms or 0 to give it back, monitors or ''. */
const RENEW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(KEYS) do redis.call('ZREMRANGEBYSCORE', key, '-inf', now) end
local lease = tonumber(ARGV[2])
if lease > 0 then redis.call('ZADD', KEYS[1], now + lease, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], now + lease, ARGV[1]) else redis.call('ZREM', KEYS[2], ARGV[1]) end
return { redis.call('ZCARD', KEYS[2]), unpack(redis.call('ZRANGE', KEYS[1], 0, -1)) }
`;

export async function startNodeLeases(options: NodeLeaseOptions): Promise<NodeLeases> {
  const { redis, node, leaseMs, log } = options;
  const listeners: ((held: boolean) => void)[] = [];
  const nodeListeners: ((nodes: ReadonlySet<string>) => void)[] = [];
  let known = '';
  const warn = warnOnceEvery(60_000);
  let renewedAt = Number.NEGATIVE_INFINITY;
  let monitors = 0;
  let was = false;
  let stopped = false;

  const held = (): boolean => performance.now() - renewedAt < leaseMs * SAFETY;

  async function renew(ms: number): Promise<string[]> {
    const startedAt = performance.now();
    const flag = ms > 0 && options.hasMonitors() ? '1' : '';
    const [count, ...nodes] = (await redis.eval(RENEW, 2, KEY, MONITORS_KEY, node, ms, flag)) as [number, ...string[]];
    monitors = count;
    if (ms > 0) renewedAt = startedAt;
    const names = nodes.toSorted().join(' ');
    if (ms > 0 && names !== known) {
      known = names;
      for (const listener of nodeListeners) listener(new Set(nodes));
    }
    return nodes;
  }

  function watch(): void {
    if (held() === was || stopped) return;
    was = !was;
    if (was) log.info('this relay has its lease');
    else log.warn('this relay has lost its lease: redis could not be reached for too long');
    for (const listener of listeners) listener(was);
  }

  async function tick(): Promise<void> {
    try {
      await renew(leaseMs);
    } catch (error) {
      warn('renew', (suppressed) => log.warn({ err: error, suppressed }, 'unable to renew the lease of this relay'));
    }
    watch();
  }

  await tick();
  const timer = setInterval(() => void tick(), leaseMs / RENEWALS);
  timer.unref();

  return {
    held,
    nodes: async () => renew(leaseMs),
    monitored: () => monitors > 0,
    onChange: (listener) => void listeners.push(listener),
    onNodes: (listener) => void nodeListeners.push(listener),
    async stop() {
      stopped = true;
      clearInterval(timer);
      await renew(0).catch(() => undefined);
    },
  };
}
