/**
 * Channels between relays: shard channels of Redis, or those of the bus. A wanted channel is subscribed again after every outage, however
 * long; messages that were sent meanwhile are lost, and the subscriber is told so.
 */
export interface ShardChannels {
  /**
   * Resolves when messages come in. Rejects with `BROKER_UNAVAILABLE` if that does not happen in time; the channel stays wanted all the
   * same. `onSubscribed` is called after every subscription, and messages from before it may be missing.
   */
  subscribe(channel: string, listener: ChannelListener): Promise<void>;
  unsubscribe(channel: string): void;
  /** Returns how many listen. */
  publish(channel: string, text: string): Promise<number>;
  /** Subscribes once more to a channel that seems to have gone silent. */
  renew(channel: string): void;
  stop(): void;
}

export interface ChannelListener {
  onMessage: (text: string) => void;
  onSubscribed?: () => void;
}
