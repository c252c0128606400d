import type { GroupId } from '../api/api.ts';
import { fieldsOf, idOf, parseId, parseList, parseUserId } from '../base/parse.ts';
import { createStore, type OnListenerError, type Readable, type Store } from '../base/store.ts';
import type { Clock, Logger } from '../environment.ts';
import { toClientError } from '../errors.ts';
import type { Ask } from './ask.ts';
import { createPresenceQuestions } from './presence-questions.ts';

export interface PresenceSnapshot {
  /** `unknown` until the relay has answered, and while there is no connection: then the users are those of before. */
  status: 'unknown' | 'ready';
  /** The members who are connected, oneself included, by user id; at most 10,000 of them. */
  online: ReadonlySet<string>;
  /** How many members are connected in all. */
  count: number;
}

export interface PresenceHandle extends Readable<PresenceSnapshot> {
  readonly groupId: string;
}

/** The connected members of the groups that somebody looks at. */
export interface Presence {
  handleOf: (groupId: GroupId) => PresenceHandle;
  onPresence: (payload: unknown) => void;
  /** A connection is open, and the relay has said which groups it is in. */
  ready: () => void;
  down: () => void;
  forget: (groupId: string) => void;
  stop: () => void;
}

interface Entry {
  groupId: string;
  store: Store<PresenceSnapshot>;
  observers: number;
  /** Changes that came while the relay was asked. */
  passed: unknown[] | undefined;
  /** The relay has answered on this connection. */
  isCurrent: boolean;
  isWatched: boolean;
  timer: unknown;
}

/** Most users of a group who are kept. */
const MAX_USERS = 10_000;
/** Users in a group above whom the relay tells only those who have asked for it. */
const WATCH_ABOVE = 100;
/** Most changes that are kept while the relay is asked. */
const MAX_PASSED = 100;
/** How long a group is kept after the last listener has gone, in milliseconds: the next screen may show it again. */
const LINGER_MS = 5_000;
const RETRY_MS = 5_000;
const UNKNOWN: PresenceSnapshot = { status: 'unknown', online: new Set(), count: 0 };

export function createPresence(deps: {
  ask: Ask;
  memberCountOf: (groupId: string) => number | undefined;
  clock: Clock;
  log: Logger;
  onListenerError: OnListenerError;
}): Presence {
  const { clock, log } = deps;
  const question = createPresenceQuestions(deps.ask);
  const entries = new Map<string, Entry>();
  let isReady = false;
  let stopped = false;

  function entryOf(groupId: string): Entry {
    const known = entries.get(groupId);
    if (known) return known;
    const entry: Entry = {
      groupId,
      store: createStore(UNKNOWN, deps.onListenerError),
      observers: 0,
      passed: undefined,
      isCurrent: false,
      isWatched: false,
      timer: undefined,
    };
    entries.set(groupId, entry);
    return entry;
  }

  function apply({ store }: Entry, payload: unknown): void {
    const { online, offline } = fieldsOf(payload) ?? {};
    const before = store.getSnapshot();
    const now = new Set(before.online);
    let { count } = before;
    for (const userId of parseList(offline, parseUserId)) if (now.delete(userId)) count -= 1;
    for (const userId of parseList(online, parseUserId)) {
      if (now.has(userId)) continue;
      count += 1;
      if (now.size < MAX_USERS) now.add(userId);
    }
    store.set({ status: 'ready', online: now, count: Math.max(count, now.size) });
  }

  async function watch(entry: Entry, on: boolean): Promise<void> {
    if (entry.isWatched === on || !isReady) return;
    entry.isWatched = on;
    await deps.ask('watch-group', { groupId: entry.groupId, on });
  }

  async function read(entry: Entry): Promise<void> {
    if (!isReady || stopped || entry.passed || entry.isCurrent) return;
    const { groupId } = entry;
    const passed: unknown[] = [];
    entry.passed = passed;
    try {
      // First, so that no change is missed between the two.
      if ((deps.memberCountOf(groupId) ?? Number.POSITIVE_INFINITY) > WATCH_ABOVE) await watch(entry, true);
      const answer = await question(groupId);
      if (!answer || entry.passed !== passed) return;
      const users = parseList(answer['users'], (user) => parseUserId(fieldsOf(user)?.['userId']));
      const { numUsers } = answer;
      entry.isCurrent = true;
      entry.store.set({
        status: 'ready',
        online: new Set(users.slice(0, MAX_USERS)),
        count: typeof numUsers === 'number' ? Math.max(numUsers, users.length) : users.length,
      });
      for (const payload of passed) apply(entry, payload);
    } catch (cause) {
      const error = toClientError(cause);
      log.debug('unable to read who is there', { groupId, code: error.code });
      if (entry.passed === passed && error.retryable) later(entry, error.retryAfterMs ?? RETRY_MS);
    } finally {
      if (entry.passed === passed) entry.passed = undefined;
    }
  }

  function later(entry: Entry, delayMs: number): void {
    clock.clearTimeout(entry.timer);
    entry.timer = clock.setTimeout(() => {
      if (entry.observers > 0) void read(entry);
      else letGo(entry);
    }, delayMs);
  }

  function letGo(entry: Entry): void {
    clock.clearTimeout(entry.timer);
    entry.timer = clock.setTimeout(() => {
      if (entry.observers > 0) return;
      drop(entry);
      if (entry.isWatched) watch(entry, false).catch(() => undefined);
    }, LINGER_MS);
  }

  function drop(entry: Entry): void {
    clock.clearTimeout(entry.timer);
    entry.passed = undefined;
    if (entries.get(entry.groupId) === entry) entries.delete(entry.groupId);
  }

  return {
    handleOf(id) {
      const groupId = idOf(id);
      return {
        groupId,
        getSnapshot: () => entries.get(groupId)?.store.getSnapshot() ?? UNKNOWN,
        subscribe(listener) {
          const entry = entryOf(groupId);
          entry.observers += 1;
          const end = entry.store.subscribe(listener);
          void read(entry);
          let active = true;
          return () => {
            if (!active) return;
            active = false;
            end();
            entry.observers -= 1;
            if (entry.observers === 0 && !stopped) letGo(entry);
          };
        },
      };
    },
    onPresence(payload) {
      const entry = entries.get(parseId(fieldsOf(payload)?.['groupId']) ?? '');
      if (!entry) return;
      if (entry.passed && entry.passed.length < MAX_PASSED) entry.passed.push(payload);
      if (entry.isCurrent) apply(entry, payload);
    },
    ready() {
      isReady = true;
      for (const entry of entries.values()) if (entry.observers > 0) void read(entry);
    },
    down() {
      isReady = false;
      for (const entry of entries.values()) {
        clock.clearTimeout(entry.timer);
        Object.assign(entry, { passed: undefined, isCurrent: false, isWatched: false });
        entry.store.set({ ...entry.store.getSnapshot(), status: 'unknown' });
        if (entry.observers === 0) drop(entry);
      }
    },
    forget(groupId) {
      const entry = entries.get(groupId);
      if (!entry) return;
      Object.assign(entry, { passed: undefined, isCurrent: false, isWatched: false });
      entry.store.set(UNKNOWN);
      if (entry.observers === 0) drop(entry);
    },
    stop() {
      stopped = true;
      for (const entry of entries.values()) {
        drop(entry);
        entry.store.clear();
      }
    },
  };
}
