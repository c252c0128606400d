import type { GroupEvent, GroupSummary, Position } from '@groupcast/shared';
import type { Api } from './api.ts';
import { backoffMs } from './backoff.ts';
import { coalesce } from './coalesce.ts';
import type { Clock, Logger } from './environment.ts';
import { type ClientError, toClientError } from './errors.ts';
import { byActivity, withEvent } from './group-summary.ts';
import { createRecording } from './recording.ts';
import { createKeyedTopic, createStore, type OnListenerError, type Readable } from './store.ts';

export interface GroupsSnapshot {
  /** `loading` until the list was read once. `failed`: it could not be read yet; it is tried again if that may help. */
  status: 'loading' | 'ready' | 'failed';
  /** Most recently active first. A group is the same object until something about it has changed. */
  groups: readonly GroupSummary[];
  error: ClientError | null;
}

export interface GroupsDeps {
  api: Pick<Api, 'groups'>;
  me: () => string | undefined;
  /** A group the API lists, and where it stood then. */
  onListed: (groupId: string, position: Position) => void;
  /** The list was read. */
  onRead: () => void;
  /** A group that is not ours any more. */
  onGone: (groupId: string) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
}

export interface Groups extends Readable<GroupsSnapshot> {
  /** Of all groups together. */
  readonly unread: Readable<number>;
  get: (groupId: string) => GroupSummary | undefined;
  subscribeTo: (groupId: string, listener: () => void) => () => void;
  /** Reads the list. Resolves with whether that worked; what was true when it was called is in it. */
  refresh: () => Promise<boolean>;
  /** The same in a while, unless it happens before. */
  refreshWithin: (delayMs: number) => void;
  apply: (groupId: string, events: readonly GroupEvent[]) => void;
  remove: (groupId: string) => void;
  /** Everything up to `seq` was read. */
  read: (groupId: string, seq: number, unreadCount?: number) => void;
  stop: () => void;
}

interface Entry {
  group: GroupSummary;
  /** The place at which the API described the group: events up to it are in the description. */
  asOf: Position;
  /** Everything up to here was read in this window, whatever an answer from before that says. */
  readSeq: number;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** The list of groups, from the API once, and kept current by events. */
export function createGroups(deps: GroupsDeps): Groups {
  const entries = new Map<string, Entry>();
  const store = createStore<GroupsSnapshot>({ status: 'loading', groups: [], error: null }, deps.onListenerError);
  const unread = createStore(0, deps.onListenerError);
  const topics = createKeyedTopic<void>(deps.onListenerError);
  const recording = createRecording();
  let timer: unknown;
  let dueAt = Number.POSITIVE_INFINITY;
  let failures = 0;
  let stopped = false;

  /** Publishes what has changed, of the groups named. */
  function publish(
    changed: readonly string[],
    error = store.getSnapshot().error,
    status = store.getSnapshot().status,
  ): void {
    const before = store.getSnapshot();
    if (changed.length === 0 && error === before.error && status === before.status) return;
    const groups = changed.length === 0 ? before.groups : byActivity([...entries.values()].map(({ group }) => group));
    store.set({ status, groups, error });
    unread.set(groups.reduce((sum, { unreadCount }) => sum + unreadCount, 0));
    for (const groupId of changed) topics.emit(groupId);
  }

  function change(groupId: string, group: GroupSummary): boolean {
    const entry = entries.get(groupId);
    if (!entry || entry.group === group) return false;
    entry.group = group;
    return true;
  }

  function replay(groupId: string, events: readonly GroupEvent[]): boolean {
    const entry = entries.get(groupId);
    if (!entry) return false;
    const { asOf } = entry;
    const fresh = events.filter((event) => event.epoch === asOf.epoch && event.seq > asOf.seq);
    const last = fresh.at(-1);
    if (!last) return false;
    const group = fresh.reduce((current, event) => withEvent(current, event, deps.me()), entry.group);
    return change(groupId, { ...group, position: { epoch: last.epoch, seq: last.seq } });
  }

  /** The API's description of a group: an older one than what events have told since is brought up to date by them. */
  function take(listed: GroupSummary, passed: readonly GroupEvent[]): boolean {
    const { id, position } = listed;
    const before = entries.get(id);
    const readSeq = before?.asOf.epoch === position.epoch ? before.readSeq : 0;
    const isRead = readSeq > 0 && readSeq >= (listed.lastMessage?.seq ?? 0);
    entries.set(id, { group: isRead ? { ...listed, unreadCount: 0 } : listed, asOf: position, readSeq });
    replay(
      id,
      passed.filter((event) => event.groupId === id),
    );
    const after = entries.get(id);
    if (!before || !after || JSON.stringify(before.group) !== JSON.stringify(after.group)) return true;
    after.group = before.group;
    return false;
  }

  async function load(): Promise<boolean> {
    clock.clearTimeout(timer);
    dueAt = Number.POSITIVE_INFINITY;
    if (stopped) return false;
    const known = [...entries.keys()];
    const recorded = recording.start();
    let listed: GroupSummary[];
    try {
      listed = await deps.api.groups();
    } catch (cause) {
      recorded.stop();
      if (!stopped) failed(toClientError(cause));
      return false;
    }
    const passed = recorded.stop();
    if (stopped) return false;
    failures = 0;
    const changed = listed.filter((group) => take(group, passed)).map(({ id }) => id);
    const ids = new Set(listed.map(({ id }) => id));
    const gone = known.filter((id) => entries.has(id) && !ids.has(id));
    for (const id of gone) entries.delete(id);
    publish([...changed, ...gone], null, 'ready');
    for (const id of gone) deps.onGone(id);
    for (const { id, position } of listed) deps.onListed(id, position);
    deps.onRead();
    return true;
  }

  function failed(error: ClientError): void {
    const { status } = store.getSnapshot();
    publish([], error, status === 'ready' ? 'ready' : 'failed');
    if (!error.retryable) return deps.log.warn('unable to read the list of groups', { code: error.code });
    refreshWithin(error.retryAfterMs ?? backoffMs(failures, RETRY_MIN_MS, RETRY_MAX_MS, deps.random));
    failures += 1;
  }

  const refresh = coalesce(load);
  const { clock } = deps;

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
    apply(groupId, events) {
      recording.add(events);
      if (replay(groupId, events)) publish([groupId]);
    },
    remove(groupId) {
      if (entries.delete(groupId)) publish([groupId]);
    },
    read(groupId, seq, unreadCount) {
      const entry = entries.get(groupId);
      if (!entry) return;
      entry.readSeq = Math.max(entry.readSeq, seq);
      const rest = entry.readSeq >= (entry.group.lastMessage?.seq ?? 0) ? 0 : (unreadCount ?? entry.group.unreadCount);
      if (rest !== entry.group.unreadCount && change(groupId, { ...entry.group, unreadCount: rest }))
        publish([groupId]);
    },
    stop() {
      stopped = true;
      clock.clearTimeout(timer);
      store.clear();
      unread.clear();
      topics.clear();
    },
  };
}
