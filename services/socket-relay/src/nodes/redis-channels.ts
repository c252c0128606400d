import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { ChannelConnections } from '../redis/connections.ts';
import { probeChannel } from '../wire-format.ts';
import { brokerUnavailable } from './broker-errors.ts';
import type { ChannelListener, ShardChannels } from './channels.ts';

interface Wanted extends ChannelListener {
  state: 'pending' | 'subscribed';
  waiting: Set<() => void>;
}

const SUBSCRIBE_TIMEOUT_MS = 2_000;
const RETRY_MS = 500;
const PROBE_INTERVAL_MS = 2_000;
/** How long a probe may take, in milliseconds. If it has not come back by then, the connection is dead. */
const PROBE_TIMEOUT_MS = 4_000;

export function createShardChannels(deps: {
  redis: ChannelConnections;
  node: string;
  metrics: RelayMetrics;
  log: Logger;
}): ShardChannels {
  const { subscriber, commands, names } = deps.redis;
  /** Wanted channels, by their names in Redis. */
  const wanted = new Map<string, Wanted>();
  const warn = warnOnceEvery(60_000);
  const probe = names.channel(probeChannel(deps.node));
  let retry: NodeJS.Timeout | undefined;
  let heardAt = performance.now();
  let stopped = false;

  function onMessage(channel: string, text: string): void {
    try {
      wanted.get(channel)?.onMessage(text);
    } catch (error) {
      deps.metrics.malformed.inc();
      warn('message', (suppressed) =>
        deps.log.warn({ err: error, channel, suppressed }, 'a message between relays was not understood'),
      );
    }
  }

  async function ask(channel: string, entry: Wanted): Promise<void> {
    try {
      // A cluster's subscriber has no time-out of its own.
      await within(SUBSCRIBE_TIMEOUT_MS, subscriber.ssubscribe(channel), 'redis to subscribe');
    } catch (error) {
      deps.log.debug({ err: error, channel }, 'unable to subscribe; will try again');
      retryLater();
      return;
    }
    if (wanted.get(channel) !== entry) return;
    entry.state = 'subscribed';
    for (const done of entry.waiting) done();
    entry.waiting.clear();
    entry.onSubscribed?.();
  }

  function retryLater(): void {
    if (stopped) return;
    retry ??= setTimeout(() => {
      retry = undefined;
      askPending();
    }, RETRY_MS);
  }

  function askPending(): void {
    for (const [channel, entry] of wanted) if (entry.state === 'pending') void ask(channel, entry);
  }

  /** A new connection has no subscriptions. */
  function onReady(): void {
    heardAt = performance.now();
    for (const entry of wanted.values()) entry.state = 'pending';
    askPending();
  }

  async function confirmed(channel: string, entry: Wanted): Promise<void> {
    if (entry.state === 'subscribed') return;
    if (!deps.redis.isReady()) throw brokerUnavailable(`listen to ${channel}`, undefined);
    let done: () => void = () => undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        done = resolve;
        entry.waiting.add(done);
        timer = setTimeout(() => reject(brokerUnavailable(`listen to ${channel}`, undefined)), SUBSCRIBE_TIMEOUT_MS);
      });
    } finally {
      clearTimeout(timer);
      entry.waiting.delete(done);
    }
  }

  // In a cluster each shard has a connection of its own. There groups are compared with their logs instead (feed/log-comparison.ts).
  const probing = setInterval(() => {
    if (subscriber.isCluster || subscriber.status !== 'ready' || !deps.redis.isReady()) return;
    if (performance.now() - heardAt > PROBE_TIMEOUT_MS) {
      deps.log.warn('the subscription to redis is dead; connecting again');
      heardAt = performance.now();
      subscriber.disconnect(true);
      return;
    }
    commands.spublish(probe, '').catch(() => undefined);
  }, PROBE_INTERVAL_MS);
  probing.unref();

  subscriber.on('smessage', onMessage);
  subscriber.on('ready', onReady);
  wanted.set(probe, {
    state: 'pending',
    waiting: new Set(),
    onMessage() {
      heardAt = performance.now();
    },
  });
  if (subscriber.status === 'ready') onReady();

  return {
    async subscribe(name, listener) {
      const channel = names.channel(name);
      const known = wanted.get(channel);
      const entry: Wanted = known ?? { ...listener, state: 'pending', waiting: new Set() };
      if (!known) {
        wanted.set(channel, entry);
        void ask(channel, entry);
      }
      await confirmed(channel, entry);
    },
    unsubscribe(name) {
      const channel = names.channel(name);
      if (!wanted.delete(channel)) return;
      subscriber
        .sunsubscribe(channel)
        .catch((error: unknown) => deps.log.debug({ err: error, channel }, 'unable to unsubscribe'));
    },
    publish: async (name, text) => Number(await commands.spublish(names.channel(name), text)),
    renew(name) {
      const channel = names.channel(name);
      const entry = wanted.get(channel);
      if (entry) void ask(channel, { ...entry, waiting: new Set() });
    },
    stop() {
      stopped = true;
      clearInterval(probing);
      clearTimeout(retry);
      subscriber.off('smessage', onMessage);
      subscriber.off('ready', onReady);
      wanted.clear();
    },
  };
}
