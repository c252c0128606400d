/** Takes transient messages to the other nodes. Each message is for one room, and goes to the nodes that want it. */
export interface Carrier {
  /** From now on, messages for the room come to this node; after an outage of what carries them too. */
  want(room: string): void;
  unwant(room: string): void;
  /**
   * Sends and forgets: it neither throws nor rejects, and keeps nothing for later. Resolves with the number of nodes that it was handed to,
   * this one included if it wants the room; with 0 if it was dropped.
   */
  send(room: string, message: readonly unknown[]): Promise<number>;
  /** Calls `listener` with each message of another node. What the listener throws is counted as a message that was not understood. */
  onMessage(listener: (room: string, message: readonly unknown[]) => void): void;
  stop(): void;
}
