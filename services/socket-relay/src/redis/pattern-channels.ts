import type { Logger } from '@groupcast/service-kit';
import type { RedisClient } from './clients.ts';

/** Channels of Redis that are no shard channels, by pattern: those of programs that know nothing of this relay. */
export interface PatternChannels {
  /** Listens until the result is called, after each outage again. `onMessage` may throw: then the message is counted as malformed. */
  listen(pattern: string, onMessage: (channel: string, bytes: Buffer) => void): () => void;
}

/** How long after a subscription that failed the next attempt is made, in milliseconds. */
const RETRY_MS = 1_000;

export function createPatternChannels(deps: {
  subscriber: RedisClient;
  onMalformed: () => void;
  log: Logger;
}): PatternChannels {
  const { subscriber, onMalformed, log } = deps;
  return {
    listen(pattern, onMessage) {
      let retry: NodeJS.Timeout | undefined;
      let stopped = false;
      function subscribe(): void {
        clearTimeout(retry);
        subscriber.psubscribe(pattern).catch((error: unknown) => {
          if (stopped) return;
          log.debug({ err: error, pattern }, 'unable to listen to channels of others; will try again');
          retry = setTimeout(subscribe, RETRY_MS).unref();
        });
      }
      function receive(matched: Buffer | string, channel: Buffer | string, bytes: Buffer): void {
        if (matched.toString() !== pattern) return;
        try {
          onMessage(channel.toString(), bytes);
        } catch (error) {
          log.debug({ err: error, pattern }, 'a message of another program was not understood');
          onMalformed();
        }
      }
      subscriber.on('pmessageBuffer', receive);
      subscriber.on('ready', subscribe);
      if (subscriber.status === 'ready') subscribe();
      return () => {
        stopped = true;
        clearTimeout(retry);
        subscriber.off('pmessageBuffer', receive);
        subscriber.off('ready', subscribe);
        subscriber.punsubscribe(pattern).catch(() => undefined);
      };
    },
  };
}
