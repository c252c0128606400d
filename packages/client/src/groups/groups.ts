import type { GroupEvent, GroupSummary, Position } from '@groupcast/shared';
import { isAfter } from '@groupcast/shared/positions';
import type { Api } from '../api/api.ts';
import { createRetry } from '../base/backoff.ts';
import { coalesce } from '../base/coalesce.ts';
import { createRecording } from '../base/recording.ts';
import { createKeyedTopic, createStore, type OnListenerError, type Readable } from '../base/store.ts';
import type { Clock, Logger } from '../environment.ts';
import { type ClientError, toClientError } from '../errors.ts';
import { applyEvents, entryOf, type GroupEntry, isRemovalOf, type ReadOutcome, readUpTo } from './group-entry.ts';
import { createLastMessages } from './last-messages.ts';

export interface GroupsSnapshot {
  /** `loading` until the list was read once. `failed`: it could not be read so far, and is read again if that may help. */
  status: 'loading' | 'ready' | 'failed';
  /** The groups, most recently active first. A group is the same object until something about it has changed. */
  groups: readonly GroupSummary[];
  error: ClientError | null;
}

export interface GroupsDeps {
  api: Pick<Api, 'groups' | 'group' | 'messages'>;
  me: () => string | undefined;
  /** The API lists the group, with its own `readSeq`. */
  onListed: (listed: Pick<GroupSummary, 'id' | 'position' | 'readSeq'>) => void;
  /** The list was read; the reading began at this time of the clock. */
  onRead: (begunAt: number) => void;
  /** The user is no longer in the group. */
  onGone: (groupId: string) => void;
  /** The user was removed from the group by the event `seq`, and may have been added again. */
  onRemoved: (groupId: string, seq: number) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
}

export interface Groups extends Readable<GroupsSnapshot> {
  /** Unread messages of all groups together. */
  readonly unread: Readable<number>;
  get: (groupId: string) => GroupSummary | undefined;
  subscribeTo: (groupId: string, listener: () => void) => () => void;
  /** Reads the list, which is then at least as recent as the call. Resolves with whether that worked. */
  refresh: () => Promise<boolean>;
  /** Reads the list after this delay, unless it is read before. */
  refreshWithin: (delayMs: number) => void;
  /** A failed reading that waits for its next try is tried at once. */
  hurry: () => void;
  apply: (groupId: string, events: readonly GroupEvent[]) => void;
  remove: (groupId: string) => void;
  /** Everything up to `seq` was read. */
  read: (groupId: string, seq: number) => ReadOutcome;
  /** Takes the API's count at `position`, after everything up to `seq` was read. Answers whether it was of use or came too late. */
  counted: (groupId: string, seq: number, unread: { unreadCount: number; position: Position }) => boolean;
  stop: () => void;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** Reads the list of groups from the API once, and keeps it current by events. */
export function createGroups(deps: GroupsDeps): Groups {
  const { api, clock, log } = deps;
  const entries = new Map<string, GroupEntry>();
  const store = createStore<GroupsSnapshot>({ status: 'loading', groups: [], error: null }, deps.onListenerError);
  const unread = createStore(0, deps.onListenerError);
  const topics = createKeyedTopic<void>(deps.onListenerError);
  const recording = createRecording();
  const retry = createRetry({
    run: () => void refresh(),
    minMs: RETRY_MIN_MS,
    maxMs: RETRY_MAX_MS,
    clock,
    random: deps.random,
  });
  /** Most recently active first. */
  let order: GroupEntry[] = [];
  let timer: unknown;
  let dueAt = Number.POSITIVE_INFINITY;
  let stopped = false;

  /** Publishes a new snapshot if these groups, the error or the status have changed. */
  function publish(
    changed: readonly string[],
    error = store.getSnapshot().error,
    status = store.getSnapshot().status,
  ): void {
    const before = store.getSnapshot();
    if (changed.length === 0 && error === before.error && status === before.status) return;
    const groups = changed.length === 0 ? before.groups : order.map(({ group }) => group);
    store.set({ status, groups, error });
    unread.set(groups.reduce((sum, { unreadCount }) => sum + unreadCount, 0));
    for (const groupId of changed) topics.emit(groupId);
  }

  const lastMessages = createLastMessages({
    ...deps,
    entries,
    onChange: (groupId) => publish([groupId]),
  });

  function sort(): void {
    order = [...entries.values()].toSorted((a, b) => (a.activeAt < b.activeAt ? 1 : a.activeAt > b.activeAt ? -1 : 0));
  }

  /** Moves one entry to its place, which is mostly the first one. */
  function moveUp(entry: GroupEntry): void {
    order.splice(order.indexOf(entry), 1);
    const index = order.findIndex(({ activeAt }) => activeAt <= entry.activeAt);
    order.splice(index < 0 ? order.length : index, 0, entry);
  }

  /** Takes the API's description of a group; answers whether it has changed. */
  function take(listed: GroupSummary, passed: readonly GroupEvent[]): boolean {
    const before = entries.get(listed.id);
    const entry = entryOf(listed, before, passed, deps.me());
    entries.set(listed.id, entry);
    return entry.group !== before?.group;
  }

  async function load(): Promise<boolean> {
    clock.clearTimeout(timer);
    dueAt = Number.POSITIVE_INFINITY;
    if (stopped) return false;
    const known = [...entries.keys()];
    const recorded = recording.start();
    const begunAt = clock.now();
    let listed: GroupSummary[];
    try {
      listed = await api.groups();
      const ids = new Set(listed.map(({ id }) => id));
      const missing = known.filter((id) => entries.has(id) && !ids.has(id));
      const gone = await whichAreGone(missing);
      if (stopped) return false;
      finish(listed, gone, recorded.stop());
      deps.onRead(begunAt);
      return true;
    } catch (cause) {
      recorded.stop();
      if (!stopped) failed(toClientError(cause));
      return false;
    }
  }

  /** Asks for each group by itself: pages are read at different moments, and a group that is in none of them may have moved between two. */
  async function whichAreGone(missing: readonly string[]): Promise<string[]> {
    const gone: string[] = [];
    for (const groupId of missing) {
      const error = await api.group(groupId).then(
        () => undefined,
        (cause: unknown) => toClientError(cause),
      );
      if (error && !error.retryable) gone.push(groupId);
    }
    return gone;
  }

  function finish(listed: readonly GroupSummary[], gone: readonly string[], passed: readonly GroupEvent[]): void {
    retry.succeeded();
    const changed = listed.filter((group) => take(group, passed)).map(({ id }) => id);
    for (const id of gone) entries.delete(id);
    sort();
    publish([...changed, ...gone], null, 'ready');
    for (const id of gone) deps.onGone(id);
    for (const group of listed) deps.onListed(group);
  }

  function failed(error: ClientError): void {
    const { status } = store.getSnapshot();
    publish([], error, status === 'ready' ? 'ready' : 'failed');
    if (!error.retryable) log.warn('unable to read the list of groups', { code: error.code });
    retry.failed(error);
  }

  const refresh = coalesce(load);

  function refreshWithin(delayMs: number): void {
    const at = clock.now() + delayMs;
    if (stopped || at >= dueAt) return;
    clock.clearTimeout(timer);
    dueAt = at;
    timer = clock.setTimeout(() => void refresh(), delayMs);
  }

  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    unread: { getSnapshot: unread.getSnapshot, subscribe: unread.subscribe },
    get: (groupId) => entries.get(groupId)?.group,
    subscribeTo: (groupId, listener) => topics.subscribe(groupId, listener),
    refresh,
    refreshWithin,
    hurry: retry.hurry,
    apply(groupId, events) {
      recording.add(events);
      const entry = entries.get(groupId);
      if (!entry) return;
      const { activeAt, group } = entry;
      const me = deps.me();
      const removal = events.findLast((event) => isRemovalOf(me, event));
      if (removal) deps.onRemoved(groupId, removal.seq);
      if (!applyEvents(entry, events, me)) return;
      if (entry.activeAt !== activeAt) moveUp(entry);
      publish([groupId]);
      if (group.lastMessage !== null && entry.group.lastMessage === null) lastMessages.lookUp(groupId);
    },
    remove(groupId) {
      const entry = entries.get(groupId);
      if (!entry) return;
      entries.delete(groupId);
      order = order.filter((other) => other !== entry);
      publish([groupId]);
    },
    read(groupId, seq) {
      const entry = entries.get(groupId);
      if (!entry) return 'all';
      const outcome = readUpTo(entry, seq);
      if (outcome !== 'no news') publish([groupId]);
      return outcome;
    },
    counted(groupId, seq, { unreadCount, position }) {
      const entry = entries.get(groupId);
      // The user has read further meanwhile, and that question gets an answer of its own.
      if (!entry || seq < entry.group.readSeq || position.epoch !== entry.counted.epoch) return true;
      if (isAfter(entry.counted, position)) return false;
      // Messages up to there are counted, although they may not have come yet.
      if (isAfter(position, entry.counted)) entry.newestSeq = Math.max(entry.newestSeq, position.seq);
      entry.counted = position;
      if (unreadCount === entry.group.unreadCount) return true;
      entry.group = { ...entry.group, unreadCount };
      publish([groupId]);
      return true;
    },
    stop() {
      stopped = true;
      clock.clearTimeout(timer);
      lastMessages.stop();
      retry.stop();
      store.clear();
      unread.clear();
      topics.clear();
    },
  };
}
