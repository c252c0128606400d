import { createStore, type OnListenerError, type Readable } from '../base/store.ts';
import type { ClientError } from '../errors.ts';
import type { SentMessage } from './message-list.ts';
import type { PendingMessage } from './outgoing.ts';

/** One row: a message that is saved or being sent. `key` stays the same when a sent message is saved. */
export type ViewMessage = SentMessage | PendingMessage;

export interface MessagesSnapshot {
  /** `idle` until there is a first listener. `failed`: the newest page could not be read; see `error`. */
  status: 'idle' | 'loading' | 'ready' | 'failed';
  /** Saved messages by `seq`, without holes up to the newest; then those that are being sent, in the order of `send`. */
  messages: readonly ViewMessage[];
  /** There are older messages: `loadEarlier()`. */
  hasEarlier: boolean;
  isLoadingEarlier: boolean;
  error: ClientError | null;
}

export const IDLE = { status: 'idle', hasEarlier: false, isLoadingEarlier: false, error: null } as const;

/** The snapshot of a view, made of saved and pending messages; listeners are called only where a field has changed. */
export interface SnapshotStore extends Readable<MessagesSnapshot> {
  /** Publishes these fields, and the messages as they are now. */
  publish: (fields?: Partial<Omit<MessagesSnapshot, 'messages'>>) => void;
  /** All changes that `work` makes are one change for listeners. */
  asOne: (work: () => void) => void;
  clear: () => void;
}

export function createSnapshotStore(deps: {
  saved: () => readonly SentMessage[];
  pending: () => readonly PendingMessage[];
  /** Called at the end of each change that is made as one. */
  onChanged: () => void;
  onListenerError: OnListenerError;
}): SnapshotStore {
  const store = createStore<MessagesSnapshot>({ ...IDLE, messages: deps.pending() }, deps.onListenerError);
  /** Fields that listeners have not been told of yet. */
  let update: Partial<MessagesSnapshot> | undefined;
  let shown: { saved: readonly SentMessage[]; pending: readonly PendingMessage[] } | undefined;

  function publish(fields: Partial<MessagesSnapshot> = {}): void {
    if (update) {
      Object.assign(update, fields);
      return;
    }
    const before = store.getSnapshot();
    const saved = deps.saved();
    const pending = deps.pending();
    const isSame = shown?.saved === saved && shown.pending === pending;
    const messages = isSame ? before.messages : pending.length === 0 ? saved : [...saved, ...pending];
    shown = { saved, pending };
    const next = { ...before, ...fields, messages };
    const names = Object.keys(next) as (keyof MessagesSnapshot)[];
    if (names.some((name) => next[name] !== before[name])) store.set(next);
  }

  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    publish,
    asOne(work) {
      if (update) return work();
      update = {};
      const fields = update;
      try {
        work();
        deps.onChanged();
      } finally {
        update = undefined;
        publish(fields);
      }
    },
    clear: store.clear,
  };
}
