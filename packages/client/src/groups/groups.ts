import type { GroupEvent, GroupSummary, Position } from '@groupcast/shared';
import { isAfter } from '@groupcast/shared/positions';
import type { Api } from '../api/api.ts';
import { createRetry } from '../base/backoff.ts';
import { coalesce } from '../base/coalesce.ts';
import { createRecording } from '../base/recording.ts';
import { createKeyedTopic, createStore, type OnListenerError, type Readable } from '../base/store.ts';
import type { Clock, Logger } from '../environment.ts';
import { type ClientError, toClientError } from '../errors.ts';
import { withEvent, withUnread } from './group-summary.ts';

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
  /** The API lists the group, which stood at `position` then. */
  onListed: (groupId: string, position: Position) => void;
  /** The list was read. */
  onRead: () => void;
  /** The user is no longer in the group. */
  onGone: (groupId: string) => void;
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
  /** Everything up to `seq` was read. Answers whether that was not known before. */
  read: (groupId: string, seq: number) => boolean;
  /** Takes the API's count at `position`, after everything up to `seq` was read. Answers whether it was of use or came too late. */
  counted: (groupId: string, seq: number, unread: { unreadCount: number; position: Position }) => boolean;
  stop: () => void;
}

interface Entry {
  /** The group, whose `readSeq` may be ahead of the API's. */
  group: GroupSummary;
  /** The description of the group includes the events up to here. */
  asOf: Position;
  /** The unread count includes the events up to here. */
  counted: Position;
  /** When the last message was sent, even if it was deleted: the list is sorted by it. */
  activeAt: string;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/** Time over which the members' requests for the new last message are spread after a deletion, per member, in milliseconds. */
const SPREAD_PER_MEMBER_MS = 2;
const MIN_SPREAD_MS = 2_000;

/** Reads the list of groups from the API once, and keeps it current by events. */
export function createGroups(deps: GroupsDeps): Groups {
  const { api, clock, log } = deps;
  const entries = new Map<string, Entry>();
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
  let order: Entry[] = [];
  /** Groups whose last message is to be looked up. */
  const lookUps = new Map<string, unknown>();
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

  function sort(): void {
    order = [...entries.values()].toSorted((a, b) => (a.activeAt < b.activeAt ? 1 : a.activeAt > b.activeAt ? -1 : 0));
  }

  /** Moves one entry to its place, which is mostly the first one. */
  function moveUp(entry: Entry): void {
    order.splice(order.indexOf(entry), 1);
    const place = order.findIndex(({ activeAt }) => activeAt <= entry.activeAt);
    order.splice(place < 0 ? order.length : place, 0, entry);
  }

  /** Applies the events to an entry that does not include them yet; answers whether that changed anything. */
  function replay(entry: Entry, events: readonly GroupEvent[]): boolean {
    const before = entry.group;
    for (const event of events) {
      const at = { epoch: event.epoch, seq: event.seq };
      if (isAfter(at, entry.counted)) {
        entry.group = withUnread(entry.group, event, deps.me());
        entry.counted = at;
      }
      if (!isAfter(at, entry.asOf)) continue;
      entry.group = { ...withEvent(entry.group, event), position: at };
      entry.asOf = at;
      const { lastMessage } = entry.group;
      if (event.event === 'new-message' && lastMessage && lastMessage.createdAt > entry.activeAt) {
        entry.activeAt = lastMessage.createdAt;
        if (order.includes(entry)) moveUp(entry);
      }
    }
    return entry.group !== before;
  }

  /** Takes the API's description of a group, and adds events and reading that the API did not know of yet. */
  function take(listed: GroupSummary, passed: readonly GroupEvent[]): boolean {
    const { id, position } = listed;
    const before = entries.get(id);
    const lastSeq = listed.lastMessage?.seq ?? 0;
    const entry: Entry = {
      group: listed,
      asOf: position,
      counted: position,
      activeAt: latest(before?.activeAt, listed.lastMessage?.createdAt ?? listed.createdAt),
    };
    if (before?.counted.epoch === position.epoch && before.group.readSeq > listed.readSeq) {
      const { readSeq, unreadCount } = before.group;
      entry.group = { ...listed, readSeq, unreadCount: readSeq >= lastSeq ? 0 : unreadCount };
      if (readSeq < lastSeq) entry.counted = before.counted;
    }
    replay(
      entry,
      passed.filter((event) => event.groupId === id),
    );
    const isSame = before !== undefined && JSON.stringify(before.group) === JSON.stringify(entry.group);
    if (isSame) entry.group = before.group;
    entries.set(id, entry);
    return !isSame;
  }

  async function load(): Promise<boolean> {
    clock.clearTimeout(timer);
    dueAt = Number.POSITIVE_INFINITY;
    if (stopped) return false;
    const known = [...entries.keys()];
    const recorded = recording.start();
    let listed: GroupSummary[];
    try {
      listed = await api.groups();
      const ids = new Set(listed.map(({ id }) => id));
      const missing = known.filter((id) => entries.has(id) && !ids.has(id));
      const gone = await whichAreGone(missing);
      if (stopped) return false;
      finish(listed, gone, recorded.stop());
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
    for (const { id, position } of listed) deps.onListed(id, position);
    deps.onRead();
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

  /** Reads the new last message in a while, after the last one was deleted. */
  function lookUpLast(groupId: string, memberCount: number): void {
    if (stopped || lookUps.has(groupId)) return;
    const delayMs = deps.random() * Math.max(MIN_SPREAD_MS, memberCount * SPREAD_PER_MEMBER_MS);
    lookUps.set(
      groupId,
      clock.setTimeout(() => {
        lookUps.delete(groupId);
        readLast(groupId).catch((cause: unknown) => {
          log.debug('unable to look up a last message', { groupId, code: toClientError(cause).code });
        });
      }, delayMs),
    );
  }

  async function readLast(groupId: string): Promise<void> {
    if (entries.get(groupId)?.group.lastMessage !== null) return;
    const { messages, position } = await api.messages(groupId, { limit: 1 });
    const entry = entries.get(groupId);
    const [lastMessage] = messages;
    if (stopped || !entry || !lastMessage || entry.group.lastMessage) return;
    // The page does not include an event that came meanwhile, which may have been another deletion.
    if (isAfter(entry.asOf, position)) return lookUpLast(groupId, entry.group.memberCount);
    entry.group = { ...entry.group, lastMessage };
    publish([groupId]);
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
      const hadLast = entry.group.lastMessage !== null;
      if (!replay(entry, events)) return;
      publish([groupId]);
      if (hadLast && entry.group.lastMessage === null) lookUpLast(groupId, entry.group.memberCount);
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
      if (!entry) return true;
      const { readSeq, unreadCount, lastMessage } = entry.group;
      if (seq <= readSeq) return false;
      entry.group = { ...entry.group, readSeq: seq, unreadCount: seq >= (lastMessage?.seq ?? 0) ? 0 : unreadCount };
      publish([groupId]);
      return true;
    },
    counted(groupId, seq, { unreadCount, position }) {
      const entry = entries.get(groupId);
      // The user has read further meanwhile, and that question gets an answer of its own.
      if (!entry || seq < entry.group.readSeq || position.epoch !== entry.counted.epoch) return true;
      if (isAfter(entry.counted, position)) return false;
      entry.counted = position;
      if (unreadCount === entry.group.unreadCount) return true;
      entry.group = { ...entry.group, unreadCount };
      publish([groupId]);
      return true;
    },
    stop() {
      stopped = true;
      clock.clearTimeout(timer);
      for (const lookUp of lookUps.values()) clock.clearTimeout(lookUp);
      retry.stop();
      store.clear();
      unread.clear();
      topics.clear();
    },
  };
}

/** The later of two ISO 8601 times in UTC. */
function latest(a: string | undefined, b: string): string {
  return a !== undefined && a > b ? a : b;
}
