import type { GroupState, OutgoingMessage } from './group-state.ts';
import type { ConnectionView } from './relay-connection.ts';
import { createStore } from './store.ts';

/** Everything the page shows of one person's chat. */
export interface ChatState {
  connection: ConnectionView;
  /** `null` until the list was read once. */
  groups: ReadonlyMap<string, GroupState> | null;
  openGroupId: string | null;
  outgoing: readonly OutgoingMessage[];
  /** The last thing that went wrong, for people. */
  notice: string | null;
}

export type ChatStore = ReturnType<typeof createChatStore>;

export function createChatStore() {
  const { get, update, subscribe } = createStore<ChatState>({
    connection: { state: 'connecting' },
    groups: null,
    openGroupId: null,
    outgoing: [],
    notice: null,
  });

  const patch = (change: Partial<ChatState>): void => update((state) => ({ ...state, ...change }));
  const group = (groupId: string): GroupState | undefined => get().groups?.get(groupId);

  return {
    get,
    subscribe,
    patch,
    group,

    /** Does nothing for a group that is not ours (any more). */
    changeGroup(groupId: string, change: (group: GroupState) => GroupState): void {
      const before = group(groupId);
      if (before) patch({ groups: new Map(get().groups).set(groupId, change(before)) });
    },

    forgetGroup(groupId: string): void {
      const groups = new Map(get().groups);
      if (groups.delete(groupId)) patch({ groups });
    },

    report: (error: unknown): void => {
      patch({ notice: error instanceof Error ? error.message : String(error) });
    },
  };
}
