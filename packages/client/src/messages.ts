import type { GroupEvent, Message, Position } from '@groupcast/shared';
import type { Api } from './api.ts';
import { coalesce } from './coalesce.ts';
import { type ClientError, toClientError } from './errors.ts';
import { createMessageList, type SentMessage } from './message-list.ts';
import type { PendingMessage } from './outgoing.ts';
import { compareGenerations } from './positions.ts';
import { createRecording } from './recording.ts';
import { createStore, type OnListenerError, type Readable } from './store.ts';

/** One row: saved, or on its way. `key` stays the same when an own message becomes a saved one. */
export type ViewMessage = SentMessage | PendingMessage;

export interface MessagesSnapshot {
  /** `idle` until somebody subscribes. `failed`: the newest page could not be read; see `error`. */
  status: 'idle' | 'loading' | 'ready' | 'failed';
  /** Saved ones by `seq`, without holes up to the newest; then own ones that are on their way, in the order of `send`. */
  messages: readonly ViewMessage[];
  /** There are older ones: `loadEarlier()`. */
  hasEarlier: boolean;
  isLoadingEarlier: boolean;
  error: ClientError | null;
}

export interface MessagesHandle extends Readable<MessagesSnapshot> {
  readonly groupId: string;
  /** Puts the next older page in front. Rejects with a `ClientError`; does nothing where there is none. */
  loadEarlier: () => Promise<void>;
  /** Reads the newest page again. What is shown stays until it is there; a failure is in the snapshot. */
  reload: () => Promise<void>;
}

export interface MessageView extends MessagesHandle {
  readonly observed: boolean;
  apply: (events: readonly GroupEvent[]) => void;
  /** The group's events come from `position` on: a page from before that is read again. */
  startsAt: (position: Position) => void;
  /** Whatever `work` does to the view is one change for those who look at it. */
  update: (work: () => void) => void;
  /** The messages on their way have changed. */
  refreshPending: () => void;
  /** Reads again what could not be read before. */
  retry: () => void;
  clear: () => void;
}

export function createMessageView(deps: {
  groupId: string;
  api: Pick<Api, 'messages'>;
  pageSize: number;
  keyOf: (message: Message) => string;
  pending: () => readonly PendingMessage[];
  onListenerError: OnListenerError;
}): MessageView {
  const { groupId, api, pageSize } = deps;
  const list = createMessageList(deps.keyOf);
  const recording = createRecording();
  const store = createStore<MessagesSnapshot>(
    { status: 'idle', messages: deps.pending(), hasEarlier: false, isLoadingEarlier: false, error: null },
    deps.onListenerError,
  );
  let observers = 0;
  let updating = false;
  let startsAt: Position | undefined;
  let shown: { saved: readonly SentMessage[]; pending: readonly PendingMessage[] } | undefined;

  function publish(patch: Partial<Omit<MessagesSnapshot, 'messages'>> = {}): void {
    if (updating) return;
    const before = store.getSnapshot();
    const saved = list.messages;
    const pending = deps.pending();
    const same = shown?.saved === saved && shown.pending === pending;
    const messages = same ? before.messages : [...saved, ...pending];
    shown = { saved, pending };
    const next = { ...before, ...patch, messages };
    const fields = Object.keys(next) as (keyof MessagesSnapshot)[];
    if (fields.some((field) => next[field] !== before[field])) store.set(next);
  }

  const reload = coalesce(async () => {
    const { status } = store.getSnapshot();
    publish({ status: status === 'ready' ? 'ready' : 'loading' });
    const recorded = recording.start();
    try {
      const { messages, position } = await api.messages(groupId, { limit: pageSize });
      list.replace(messages, position);
      list.apply(recorded.stop());
      publish({ status: 'ready', hasEarlier: isFull(messages), error: null });
      renewIfOld();
    } catch (cause) {
      recorded.stop();
      publish({ status: status === 'ready' ? 'ready' : 'failed', error: toClientError(cause) });
    }
  });

  /** What happened between the page and where events begin, nobody would bring. Once: an API that knows no better is believed. */
  function renewIfOld(): void {
    const { asOf } = list;
    const from = startsAt;
    startsAt = undefined;
    if (!from || !asOf) return;
    const generation = compareGenerations(asOf.epoch, from.epoch);
    if (generation < 0 || (asOf.epoch === from.epoch && asOf.seq < from.seq)) void reload();
  }

  function isFull(page: readonly Message[]): boolean {
    return page.length >= pageSize && (page[0]?.seq ?? 0) > 1;
  }

  const loadEarlier = coalesce(async () => {
    const { status, hasEarlier } = store.getSnapshot();
    const before = list.messages[0]?.seq;
    if (status !== 'ready' || !hasEarlier || before === undefined) return;
    publish({ isLoadingEarlier: true });
    const recorded = recording.start();
    try {
      const { messages, position } = await api.messages(groupId, { limit: pageSize, before });
      const passed = recorded.stop();
      // Should the newest page have been read again meanwhile, this one does not join on to it any more.
      if (list.messages[0]?.seq === before) {
        list.addEarlier(messages, position);
        list.apply(passed);
        publish({ isLoadingEarlier: false, hasEarlier: isFull(messages) });
      } else publish({ isLoadingEarlier: false });
    } catch (cause) {
      recorded.stop();
      publish({ isLoadingEarlier: false });
      throw toClientError(cause);
    }
  });

  /** What nobody looks at keeps one page. */
  function release(): void {
    if (observers === 0 && list.messages.length > 2 * pageSize && list.trim(pageSize)) publish({ hasEarlier: true });
  }

  return {
    groupId,
    get observed() {
      return observers > 0;
    },
    getSnapshot: store.getSnapshot,
    subscribe(listener) {
      const stop = store.subscribe(listener);
      observers += 1;
      if (store.getSnapshot().status === 'idle') void reload();
      let active = true;
      return () => {
        if (!active) return;
        active = false;
        stop();
        observers -= 1;
        release();
      };
    },
    loadEarlier,
    reload,
    apply(events) {
      recording.add(events);
      if (store.getSnapshot().status !== 'ready') return;
      list.apply(events);
      publish();
      release();
    },
    startsAt(position) {
      startsAt = position;
      if (store.getSnapshot().status === 'ready') renewIfOld();
    },
    update(work) {
      updating = true;
      try {
        work();
      } finally {
        updating = false;
      }
      publish();
      release();
    },
    refreshPending: () => publish(),
    retry() {
      if (store.getSnapshot().error?.retryable) void reload();
    },
    clear: store.clear,
  };
}
