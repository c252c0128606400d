/**
 * Shard channels of Redis. A channel that is wanted is subscribed again after every outage, however long; what was sent
 * meanwhile is lost, and whoever wanted it is told so. A connection that looks alive and delivers nothing is found by a message
 * to itself.
 */
export interface ShardChannels {
  /**
   * Resolves when messages come in. Rejects with `BROKER_UNAVAILABLE` if that does not happen in time; it stays wanted all the
   * same. `onSubscribed` is called every time, and messages from before it may be missing.
   */
  subscribe(channel: string, listener: ChannelListener): Promise<void>;
  unsubscribe(channel: string): void;
  /** Answers how many listen. */
  publish(channel: string, text: string): Promise<number>;
  /** Asks Redis once more for a channel that seems to have gone silent. */
  renew(channel: string): void;
  stop(): void;
}

export interface ChannelListener {
  onMessage: (text: string) => void;
  onSubscribed?: () => void;
}
