import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { answerCalls, type Endpoint, remoteOf } from '../../ipc/endpoint.ts';
import type { RelayMetrics } from '../../metrics/relay-metrics.ts';
import { brokerUnavailable } from '../../nodes/broker-errors.ts';
import type { ChannelListener, ShardChannels } from '../../nodes/channels.ts';
import type { BusCalls, WorkerCalls } from './bus-calls.ts';

/** Channels between the workers of one machine, through their primary. Messages arrive, unless this worker reads too slowly. */
export function createBusChannels(deps: { primary: Endpoint; metrics: RelayMetrics; log: Logger }): ShardChannels {
  const { metrics, log } = deps;
  const primary = remoteOf<BusCalls>(deps.primary);
  const wanted = new Map<string, ChannelListener>();
  const subscribed = new Set<ChannelListener>();
  const warn = warnOnceEvery(60_000);

  function onMessage(channel: string, text: string): void {
    try {
      wanted.get(channel)?.onMessage(text);
    } catch (error) {
      metrics.malformed.inc();
      warn('message', (suppressed) =>
        log.warn({ err: error, channel, suppressed }, 'a message between relays was not understood'),
      );
    }
  }
  answerCalls<WorkerCalls>(deps.primary, { message: onMessage });

  async function ask(channel: string, listener: ChannelListener): Promise<void> {
    try {
      await primary.ask('subscribe', channel);
    } catch (cause) {
      throw brokerUnavailable(`listen to ${channel}`, cause);
    }
    if (wanted.get(channel) !== listener) return;
    subscribed.add(listener);
    listener.onSubscribed?.();
  }

  return {
    async subscribe(channel, listener) {
      const known = wanted.get(channel) ?? listener;
      wanted.set(channel, known);
      if (!subscribed.has(known)) await ask(channel, known);
    },
    unsubscribe(channel) {
      const listener = wanted.get(channel);
      if (!listener) return;
      wanted.delete(channel);
      subscribed.delete(listener);
      primary.tell('unsubscribe', channel);
    },
    async publish(channel, text) {
      try {
        return await primary.ask('publish', channel, text);
      } catch (cause) {
        throw brokerUnavailable(`say something on ${channel}`, cause);
      }
    },
    renew(channel) {
      const listener = wanted.get(channel);
      if (!listener) return;
      ask(channel, listener).catch((error: unknown) => log.debug({ err: error, channel }, 'unable to subscribe again'));
    },
    stop() {
      wanted.clear();
      subscribed.clear();
    },
  };
}
