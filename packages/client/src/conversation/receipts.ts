import type { GroupEvent, Message, ReceiptCounts } from '@groupcast/shared';
import type { Reach } from '../api/answers.ts';
import type { Api, GroupId } from '../api/api.ts';
import { createRetry, type Retry } from '../base/backoff.ts';
import { coalesce } from '../base/coalesce.ts';
import { fieldsOf, idOf, parseId } from '../base/parse.ts';
import { createRecording, type Recording } from '../base/recording.ts';
import { createStore, type OnListenerError, type Readable, type Store } from '../base/store.ts';
import type { Clock, Logger } from '../environment.ts';
import { toClientError } from '../errors.ts';
import { createGroupReceipts, type GroupReceipts } from './group-receipts.ts';

export interface ReceiptsSnapshot {
  /** `idle` until somebody looks. `failed`: they could not be read so far. */
  status: 'idle' | 'loading' | 'ready' | 'failed';
  memberCount: number | undefined;
  /** How far each other member is; `null` in a group of more than 100 members, and until they were read. */
  users: ReadonlyMap<string, Reach> | null;
  /** In a larger group: how many others have received and read one's own newest message. */
  counts: ReceiptCounts | null;
  /** Every other member has received and has read one's own messages up to here. It never falls. */
  reach: Reach;
}

export interface ReceiptsHandle extends Readable<ReceiptsSnapshot> {
  readonly groupId: string;
  /** The members, but for the sender and oneself, who have read a message. Empty in a group of more than 100 members. */
  readBy: (message: Pick<Message, 'seq' | 'senderId'>) => string[];
  /** The same of those who have received it. */
  receivedBy: (message: Pick<Message, 'seq' | 'senderId'>) => string[];
}

export interface ReceiptsDeps {
  api: Pick<Api, 'receipts'>;
  me: () => string | undefined;
  /** How far all other members of each group are. The two numbers outlive all else: the status of a message never goes back. */
  reaches: Map<string, Reach>;
  /** Somebody looks at the group's messages, and at an own one among them that not everybody has read. */
  isShown: (groupId: string) => boolean;
  /** One's own messages have another status. */
  onReach: (groupId: string) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
}

/** How far the members of the groups are that somebody looks at. Each group is read once, and kept current by events. */
export interface Receipts {
  handleOf: (groupId: GroupId) => ReceiptsHandle;
  /** The status of one's own messages is looked at: what is not known is read. */
  want: (groupId: string) => void;
  onReceipt: (payload: unknown) => void;
  onEvent: (event: GroupEvent) => void;
  /** There is another connection, or the relay delivers again; receipts before it were not heard. */
  reconnected: () => void;
  /** The user has left the group: nothing can be read until there is word of `joined`. */
  forget: (groupId: string) => void;
  /** The group was started over. */
  startedOver: (groupId: string) => void;
  /** The user is in the group, for the first time or again. */
  joined: (groupId: string) => void;
  stop: () => void;
}

interface Entry {
  groupId: string;
  receipts: GroupReceipts;
  store: Store<ReceiptsSnapshot>;
  observers: number;
  /** Something may have happened that was not heard. */
  isStale: boolean;
  recording: Recording;
  read: () => Promise<void>;
  retry: Retry;
  timer: unknown;
}

/** Most groups that are kept while nobody looks at them. */
const MAX_KEPT = 50;
/** Many members have the same reason to read again; each picks a moment within the longer of these times, in milliseconds. */
const MIN_SPREAD_MS = 2_000;
const SPREAD_PER_MEMBER_MS = 2;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
const IDLE = { status: 'idle', memberCount: undefined, users: null, counts: null } as const;
const NOWHERE: Reach = { received: 0, read: 0 };
const UNKNOWN: ReceiptsSnapshot = { ...IDLE, reach: NOWHERE };

export function createReceipts(deps: ReceiptsDeps): Receipts {
  const { clock, log, reaches } = deps;
  const entries = new Map<string, Entry>();
  let stopped = false;

  function entryOf(groupId: string): Entry {
    const known = entries.get(groupId);
    if (known) return known;
    const reach = reaches.get(groupId) ?? { received: 0, read: 0 };
    reaches.set(groupId, reach);
    const entry: Entry = {
      groupId,
      receipts: createGroupReceipts(deps.me, reach),
      store: createStore<ReceiptsSnapshot>({ ...IDLE, reach: { ...reach } }, deps.onListenerError),
      observers: 0,
      isStale: true,
      recording: createRecording(),
      read: coalesce(async () => read(entry)),
      retry: createRetry({
        run: () => void entry.read(),
        minMs: RETRY_MIN_MS,
        maxMs: RETRY_MAX_MS,
        clock,
        random: deps.random,
      }),
      timer: undefined,
    };
    entries.set(groupId, entry);
    makeRoom(entry);
    return entry;
  }

  const isWanted = ({ groupId, observers }: Entry): boolean => observers > 0 || deps.isShown(groupId);

  /** Lets groups go that nobody looks at, the oldest ones first. */
  function makeRoom(latest: Entry): void {
    for (const entry of entries.values()) {
      if (entries.size <= MAX_KEPT) return;
      if (entry !== latest && !isWanted(entry)) drop(entry);
    }
  }

  function drop(entry: Entry): void {
    clock.clearTimeout(entry.timer);
    entry.retry.stop();
    if (entries.get(entry.groupId) === entry) entries.delete(entry.groupId);
  }

  function publish({ groupId, store, receipts }: Entry, status = store.getSnapshot().status): void {
    const before = store.getSnapshot();
    const { reach, memberCount, counts } = receipts;
    const hasMoved = reach.read !== before.reach.read || reach.received !== before.reach.received;
    store.set({ status, memberCount, counts, users: receipts.users(), reach: hasMoved ? { ...reach } : before.reach });
    if (hasMoved) deps.onReach(groupId);
  }

  function readIfOutdated(entry: Entry): void {
    if (entry.receipts.isOutdated && !entry.isStale) readSoon(entry);
  }

  async function read(entry: Entry): Promise<void> {
    if (stopped || entries.get(entry.groupId) !== entry) return;
    const { store, recording, retry, receipts } = entry;
    const isOver = (): boolean => stopped || entries.get(entry.groupId) !== entry || entry.receipts !== receipts;
    entry.isStale = false;
    const { status } = store.getSnapshot();
    store.set({ ...store.getSnapshot(), status: status === 'ready' ? 'ready' : 'loading' });
    const recorded = recording.start();
    receipts.asked();
    try {
      const page = await deps.api.receipts(entry.groupId);
      if (isOver()) return;
      receipts.takePage(page, recorded.stop());
      retry.succeeded();
      publish(entry, 'ready');
      readIfOutdated(entry);
    } catch (cause) {
      const error = toClientError(cause);
      if (isOver()) return;
      log.debug('unable to read receipts', { groupId: entry.groupId, code: error.code });
      publish(entry, status === 'ready' ? 'ready' : 'failed');
      if (isWanted(entry)) retry.failed(error);
      else entry.isStale = error.retryable;
    } finally {
      recorded.stop();
    }
  }

  function readSoon(entry: Entry): void {
    entry.isStale = true;
    clock.clearTimeout(entry.timer);
    if (stopped || !isWanted(entry)) return;
    const spreadMs = Math.max(MIN_SPREAD_MS, (entry.receipts.memberCount ?? 0) * SPREAD_PER_MEMBER_MS);
    entry.timer = clock.setTimeout(() => void entry.read(), deps.random() * spreadMs);
  }

  function want(groupId: string): void {
    const entry = entryOf(groupId);
    if (!entry.isStale || stopped) return;
    clock.clearTimeout(entry.timer);
    void entry.read();
  }

  function forget(groupId: string): void {
    reaches.delete(groupId);
    const entry = entries.get(groupId);
    if (!entry) return;
    clock.clearTimeout(entry.timer);
    entry.retry.stop();
    if (entry.observers === 0) return drop(entry);
    // Its listeners stay, and are told what is read from now on.
    const reach = { received: 0, read: 0 };
    reaches.set(groupId, reach);
    Object.assign(entry, { receipts: createGroupReceipts(deps.me, reach), isStale: true });
    entry.store.set({ ...IDLE, reach: { ...reach } });
  }

  function readAgain(groupId: string): void {
    if (entries.has(groupId) || deps.isShown(groupId)) readSoon(entryOf(groupId));
  }

  /** Those who are at `seq` or further, by one of the two cursors. */
  function whoIsAt(
    groupId: string,
    which: keyof Reach,
    { seq, senderId }: Pick<Message, 'seq' | 'senderId'>,
  ): string[] {
    const users = entries.get(groupId)?.store.getSnapshot().users ?? new Map<string, Reach>();
    return Array.from(users).flatMap(([userId, cursor]) =>
      cursor[which] >= seq && userId !== senderId ? [userId] : [],
    );
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
          want(groupId);
          let active = true;
          return () => {
            if (!active) return;
            active = false;
            end();
            entry.observers -= 1;
          };
        },
        readBy: (message) => whoIsAt(groupId, 'read', message),
        receivedBy: (message) => whoIsAt(groupId, 'received', message),
      };
    },
    want,
    onReceipt(payload) {
      const entry = entries.get(parseId(fieldsOf(payload)?.['groupId']) ?? '');
      if (!entry?.receipts.takeReceipt(payload)) return;
      publish(entry);
      readIfOutdated(entry);
    },
    onEvent(event) {
      const entry = entries.get(event.groupId);
      if (!entry) return;
      entry.recording.add([event]);
      if (!entry.receipts.takeEvent(event)) return;
      publish(entry);
      readIfOutdated(entry);
    },
    reconnected() {
      for (const entry of entries.values()) readSoon(entry);
    },
    forget,
    startedOver(groupId) {
      forget(groupId);
      readAgain(groupId);
    },
    joined: readAgain,
    stop() {
      stopped = true;
      for (const entry of entries.values()) {
        drop(entry);
        entry.store.clear();
      }
    },
  };
}
