/** Knows for each group which users have connections, and how many, over all nodes that live. */
export interface PresenceStore {
  /** Sets the number of this node's connections of a user in a group. With 0 the user is taken out. */
  set(groupId: string, userId: string, connections: number): void;
  /** Rejects with `BROKER_UNAVAILABLE`. */
  read(groupId: string): Promise<Map<string, number>>;
  /** Calls `listener` with each group in which something may have changed on another node. */
  onChange(listener: (groupId: string) => void): void;
  /** Takes out all users of this node. */
  stop(): Promise<void>;
}

/** The store of a relay that is alone: its own users are all there are. */
export function createMemoryPresenceStore(): PresenceStore {
  const groups = new Map<string, Map<string, number>>();
  return {
    set(groupId, userId, connections) {
      const users = groups.get(groupId) ?? new Map<string, number>();
      if (connections > 0) groups.set(groupId, users.set(userId, connections));
      else users.delete(userId);
      if (users.size === 0) groups.delete(groupId);
    },
    read: async (groupId) => new Map(groups.get(groupId)),
    onChange() {
      // There is no other node.
    },
    async stop() {
      groups.clear();
    },
  };
}
