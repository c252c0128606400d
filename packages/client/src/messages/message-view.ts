import type { GroupEvent, Message, Position } from '@groupcast/shared';
import { relationOf } from '@groupcast/shared/positions';
import type { Api } from '../api/api.ts';
import { createRetry } from '../base/backoff.ts';
import { coalesce } from '../base/coalesce.ts';
import { createRecording } from '../base/recording.ts';
import type { OnListenerError, Readable } from '../base/store.ts';
import type { Clock } from '../environment.ts';
import { toClientError } from '../errors.ts';
import { createMessageList } from './message-list.ts';
import { createSnapshotStore, IDLE, type MessagesSnapshot } from './messages-snapshot.ts';
import type { PendingMessage } from './outgoing.ts';
import { createRows, type RowsDeps } from './rows.ts';

export interface MessagesHandle extends Readable<MessagesSnapshot> {
  readonly groupId: string;
  /** Puts the next older page in front. Rejects with a `ClientError`; does nothing where there is none. */
  loadEarlier: () => Promise<void>;
  /** Reads the newest page again. The messages shown stay until it is there; a failure is in the snapshot. */
  reload: () => Promise<void>;
}

export interface MessageView extends MessagesHandle {
  apply: (events: readonly GroupEvent[]) => void;
  /** The group's events come from `position` on: a page from before that is read again. */
  startsAt: (position: Position) => void;
  /** All changes that `work` makes to the view are one change for its listeners. */
  update: (work: () => void) => void;
  /** The messages that are being sent have changed, or the status of own ones, or edits and deletions that are on their way. */
  refresh: () => void;
  /** The highest `seq` that the newest page or a message in it has; `undefined` before there is one. */
  readonly headSeq: number | undefined;
  /** Somebody looks, and at an own message that not everybody has read. */
  readonly awaitsReceipts: boolean;
  /** A page that could not be read and waits for its next try is read at once. */
  hurry: () => void;
  /** The user is no longer in the group: a view without listeners is emptied, and read anew for the next listener. */
  leave: () => void;
  clear: () => void;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;

export function createMessageView(deps: {
  groupId: string;
  api: Pick<Api, 'messages'>;
  pageSize: number;
  keyOf: (message: Message) => string;
  pending: () => readonly PendingMessage[];
  /** A page has these messages: own ones among them are saved, even if no answer said so. Called within one change. */
  onPage: (messages: readonly Message[]) => void;
  rows: RowsDeps;
  /** The view has become one that `awaitsReceipts`, or still is after a change. */
  onAwaitingReceipts: () => void;
  clock: Clock;
  random: () => number;
  onListenerError: OnListenerError;
}): MessageView {
  const { groupId, api, pageSize } = deps;
  const list = createMessageList(deps.keyOf);
  const rows = createRows(deps.rows);
  const recording = createRecording();
  const retry = createRetry({
    run: () => void reload(),
    minMs: RETRY_MIN_MS,
    maxMs: RETRY_MAX_MS,
    clock: deps.clock,
    random: deps.random,
  });
  let observers = 0;
  let startsAt: Position | undefined;
  const { publish, asOne, ...store } = createSnapshotStore({
    saved: () => rows.of(list.messages),
    pending: deps.pending,
    onChanged: release,
    onListenerError: deps.onListenerError,
  });

  const awaitsReceipts = (): boolean => observers > 0 && rows.hasUnreadOwn(list.messages);

  /** A view without listeners keeps one page. */
  function release(): void {
    if (awaitsReceipts()) deps.onAwaitingReceipts();
    if (observers === 0 && list.messages.length > 2 * pageSize && list.trim(pageSize)) publish({ hasEarlier: true });
  }

  const reload = coalesce(async () => {
    const { status } = store.getSnapshot();
    publish({ status: status === 'ready' ? 'ready' : 'loading' });
    const recorded = recording.start();
    try {
      const { messages, position, more } = await api.messages(groupId, { limit: pageSize });
      const passed = recorded.stop();
      if (store.getSnapshot().status === 'idle') return;
      retry.succeeded();
      asOne(() => {
        deps.onPage(messages);
        list.replace(messages, position);
        list.apply(passed);
        publish({ status: 'ready', hasEarlier: more ?? isFull(messages), error: null });
      });
      renewIfOld();
    } catch (cause) {
      recorded.stop();
      const error = toClientError(cause);
      if (store.getSnapshot().status === 'idle') return;
      publish({ status: status === 'ready' ? 'ready' : 'failed', error });
      if (observers > 0) retry.failed(error);
    }
  });

  /** Reads the page again, once, if it is older than the first event: no event would tell of changes between the two. */
  function renewIfOld(): void {
    const { asOf } = list;
    const from = startsAt;
    startsAt = undefined;
    if (!from || !asOf) return;
    const relation = relationOf(asOf, from);
    switch (relation) {
      case 'next':
      case 'ahead':
      case 'newer':
        void reload();
        return;
      case 'behind':
      case 'older':
        return;
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  /** Guesses whether there are older messages, where the API does not say so. */
  function isFull(page: readonly Message[]): boolean {
    return page.length >= pageSize && (page[0]?.seq ?? 0) > 1;
  }

  const loadEarlier = coalesce(async () => {
    const { status, hasEarlier } = store.getSnapshot();
    if (status !== 'ready' || !hasEarlier) return;
    const before = list.messages[0]?.seq;
    // Every message of the page was deleted, so that another page is the newest one now.
    if (before === undefined) return reload();
    publish({ isLoadingEarlier: true });
    const recorded = recording.start();
    try {
      const { messages, position, more } = await api.messages(groupId, { limit: pageSize, before });
      const passed = recorded.stop();
      asOne(() => {
        publish({ isLoadingEarlier: false });
        // If the newest page was read again meanwhile, this one no longer joins on to it.
        if (list.messages[0]?.seq !== before) return;
        deps.onPage(messages);
        list.addEarlier(messages, position);
        list.apply(passed);
        publish({ hasEarlier: more ?? isFull(messages) });
      });
    } catch (cause) {
      recorded.stop();
      publish({ isLoadingEarlier: false });
      throw toClientError(cause);
    }
  });

  return {
    groupId,
    getSnapshot: store.getSnapshot,
    subscribe(listener) {
      const stop = store.subscribe(listener);
      observers += 1;
      if (store.getSnapshot().status === 'idle') void reload();
      else if (awaitsReceipts()) deps.onAwaitingReceipts();
      let active = true;
      return () => {
        if (!active) return;
        active = false;
        stop();
        observers -= 1;
        asOne(() => undefined);
        if (observers === 0) retry.stop();
      };
    },
    loadEarlier,
    reload,
    apply(events) {
      recording.add(events);
      // Live messages are shown before the first page is there: they are the newest in any case.
      if (store.getSnapshot().status !== 'idle') asOne(() => list.apply(events));
    },
    startsAt(position) {
      startsAt = position;
      if (store.getSnapshot().status === 'ready') renewIfOld();
    },
    update: asOne,
    refresh: () => publish(),
    get headSeq() {
      const newest = list.messages.at(-1)?.seq;
      return newest === undefined ? list.asOf?.seq : Math.max(newest, list.asOf?.seq ?? 0);
    },
    get awaitsReceipts() {
      return awaitsReceipts();
    },
    hurry: retry.hurry,
    leave() {
      if (observers > 0) return;
      list.clear();
      startsAt = undefined;
      publish(IDLE);
    },
    clear() {
      retry.stop();
      store.clear();
    },
  };
}
