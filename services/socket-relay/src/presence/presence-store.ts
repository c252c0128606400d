/** Who is where: for each group the users with connections, and how many those are, over all nodes that live. */
export interface PresenceStore {
  /** This node's connections of a user in a group; none takes the user out. */
  set(groupId: string, userId: string, connections: number): void;
  /** Rejects with `BROKER_UNAVAILABLE`. */
  read(groupId: string): Promise<Map<string, number>>;
  /** Calls `listener` with each group in which something may have changed on another node. */
  onChange(listener: (groupId: string) => void): void;
  /** Takes everything of this node out. */
  stop(): Promise<void>;
}

/** One relay: what it has is all there is. */
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
