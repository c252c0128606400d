import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import type { Listening } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';
import type { StoredEvent } from '../events/stored-event.ts';
import type { ApiMetrics } from '../metrics.ts';
import { createFreshEvents } from './fresh-events.ts';
import { createGroupDispatch } from './group-dispatch.ts';
import { createHeldGroups } from './held-groups.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { RelayClient } from './relay-client.ts';
import { createWaiters } from './waiters.ts';
import type { WakeUps } from './wake-up.ts';

/**
 * The dispatcher brings every saved event to the relay: each group in its order, groups in parallel.
 *
 * An event is saved in the transaction of the change that it tells of, at the next position of its group, and that transaction sees to it that
 * the group is in the table `backlog`. That table is the queue. What a process keeps in memory only says where to look, and may be lost at any
 * time: the poll looks everywhere once a second.
 *
 *      commit ──┐                 ┌──────────────── one group (group-dispatch.ts) ────────────────┐
 *      NOTIFY ──┼─▶ queue ─▶ pump ─▶ claim ─▶ read ─▶ send ──▶ nothing left: it rests, and is held │
 *      poll ────┘     ▲           │            ▲         │                    │                   │
 *                     │           │            │         │        quiet for a second: given back  │
 *                     │           │            └── remedy ◀ refused ──▶ no remedy: postponed     │
 *                     │           └────────────────────────────────────────────────│──────────────┘
 *                     └─────────────────────── again after a delay ◀────────────────┘
 *
 * Claiming a group takes a lease on it, for some seconds, with a token that rises with every claim. No transaction is held while events
 * are sent. A group is held for as long as something happens in it, and its cursor is written once a second (held-groups.ts), so that messages
 * write no row of the dispatcher. A process that dies leaves a lease that runs out, and a cursor that is a second old at most; one that was
 * frozen past its lease may send what another has sent since. The relay recognises both by position, and the token of the frozen one is too old to
 * move the cursor. Giving the lease back and seeing that nothing was left is one step under the group's lock, so no event slips in between.
 *
 * A wake-up goes to this process's own queue, and to other processes where one of them holds the group, or where this one has no relay to send to.
 */
export interface Dispatcher {
  /** Listens for wake-ups of other processes, and begins to poll. */
  start(): Promise<void>;
  /** There may be something to do: in this group, or anywhere. `event` is one that was just saved there, which need not be read again. */
  wake(groupId?: string, event?: StoredEvent): void;
  /** The relay has gone: other processes may have the groups of this one. */
  release(): void;
  /** Resolves true once the relay has accepted the group's events up to `seq`, false after `timeoutMs`. */
  whenDispatched(groupId: string, seq: number, timeoutMs: number): Promise<boolean>;
  /** The group's last event that the relay has accepted, where this process holds the group; the database knows it a second late. */
  sentSeq(groupId: string): number | undefined;
  /** Starts no new work, and resolves when what is under way is settled. */
  stop(): Promise<void>;
}

export interface DispatcherDeps {
  store: OutboxStore;
  relay: RelayClient;
  /** The dispatchers of other processes; without it this one is alone on its database. */
  wakeUps?: WakeUps;
  /** The relay has accepted the group's events up to `seq`, as far as this process knows. */
  onAccepted?: ((groupId: string, seq: number) => void) | undefined;
  metrics: ApiMetrics;
  log: Logger;
}

export interface DispatcherOptions {
  /** How long a claimed group is held for a process that says nothing more, in milliseconds. */
  leaseMs: number;
  /** How often the poll looks for events that no wake-up told of, in milliseconds. */
  pollMs: number;
  /** How often the cursor of a group is written while it is held, in milliseconds, and how long it is held when nothing happens. */
  writeMs: number;
  /** Groups that are worked on at once. */
  concurrency: number;
  /** Longest that one question to the database may stay open, and, tenfold, one run to the relay, in milliseconds. */
  stepMs?: number;
}

/** How often groups are looked at where no notifications come, in milliseconds. */
const LOOK_MS = 100;
/** Groups that one poll brings. */
const BACKLOG_GROUPS = 1_000;
/** Groups that wait here for their turn. What comes above it waits in the database, where the poll finds it. */
const MAX_QUEUED = 10_000;
/** How long a group counts as another process's after it was found to be, in milliseconds. */
const ELSEWHERE_MS = 1_000;
const MAX_ELSEWHERE = 10_000;
/** Longer than the database and the broadcaster take to give up by themselves. */
const STEP_MS = 12_000;

/** The same store, where no group, and no scan, waits for an answer without an end. */
function boundedStore(store: OutboxStore, ms: number): OutboxStore {
  const bounded = Object.entries(store).map(([name, ask]: [string, (...input: unknown[]) => Promise<unknown>]) => [
    name,
    async (...input: unknown[]) => within(ms, ask(...input), `the outbox to answer ${name}`),
  ]);
  return Object.fromEntries(bounded) as OutboxStore;
}

export function createDispatcher(deps: DispatcherDeps, options: DispatcherOptions): Dispatcher {
  const { relay, wakeUps, metrics, log } = deps;
  const { leaseMs, pollMs, writeMs, concurrency, stepMs = STEP_MS } = options;
  const store = boundedStore(deps.store, stepMs);
  const waiters = createWaiters(store);
  const warn = warnOnceEvery(60_000);
  /** Groups that wait for their turn, and whether this process has saved something there that others do not know of. */
  const queue = new Map<string, boolean>();
  /** Groups that another process holds, and until when that is taken for granted. */
  const elsewhere = new Map<string, number>();
  const fresh = createFreshEvents();
  const active = new Map<string, Promise<void>>();
  const retries = new Map<string, NodeJS.Timeout>();
  let poll: NodeJS.Timeout | undefined;
  let listening: Listening | undefined;
  let looking: NodeJS.Timeout | undefined;
  let isStopping = false;
  let isScanning = false;
  const held = createHeldGroups(
    {
      store,
      log,
      isConnected: () => relay.connected,
      onMore: (groupId) => look(groupId),
      onForgotten: (groupId) => fresh.drop(groupId),
    },
    { leaseMs, writeMs },
  );
  const dispatchGroup = createGroupDispatch(
    {
      store,
      held,
      fresh,
      relay,
      metrics,
      log,
      onSettled(groupId, seq) {
        waiters.settled(groupId, seq);
        deps.onAccepted?.(groupId, seq);
      },
      isWanted: (groupId) => queue.delete(groupId),
      isStopping: () => isStopping,
    },
    { stepMs },
  );

  function isElsewhere(groupId: string): boolean {
    return performance.now() < (elsewhere.get(groupId) ?? 0);
  }

  async function dispatch(groupId: string, isOwnNews: boolean): Promise<void> {
    try {
      if (!isElsewhere(groupId)) {
        const result = await dispatchGroup(groupId);
        if (result.kind === 'later') retryIn(result.delayMs, groupId);
        if (result.kind !== 'elsewhere') return;
        if (elsewhere.size >= MAX_ELSEWHERE) elsewhere.clear();
        elsewhere.set(groupId, performance.now() + ELSEWHERE_MS);
      }
      if (isOwnNews) wakeUps?.send(groupId);
    } catch (error) {
      // The lease runs out by itself, and the poll finds the group again.
      warn('interrupted', (suppressed) =>
        log.warn({ ...describeFailure(error), groupId, suppressed }, 'dispatch was interrupted'),
      );
    }
  }

  function retryIn(delay: number, groupId: string): void {
    clearTimeout(retries.get(groupId));
    const timer = setTimeout(() => {
      retries.delete(groupId);
      enqueue(groupId, false);
      pump();
    }, delay + 5);
    retries.set(groupId, timer.unref());
  }

  function enqueue(groupId: string, isOwnNews: boolean): void {
    if (queue.size < MAX_QUEUED || queue.has(groupId)) queue.set(groupId, isOwnNews || queue.get(groupId) === true);
  }

  function pump(): void {
    for (const [groupId, isOwnNews] of queue) {
      if (isStopping || !relay.connected || active.size >= concurrency) return;
      if (active.has(groupId)) continue;
      queue.delete(groupId);
      const work = dispatch(groupId, isOwnNews).finally(() => {
        active.delete(groupId);
        pump();
      });
      active.set(groupId, work);
    }
  }

  async function scan(): Promise<void> {
    if (isScanning || isStopping || !relay.connected) return;
    isScanning = true;
    try {
      for (const groupId of await store.findBacklog(BACKLOG_GROUPS)) {
        elsewhere.delete(groupId);
        enqueue(groupId, false);
      }
      pump();
    } catch (error) {
      warn('scan', (suppressed) =>
        log.warn({ ...describeFailure(error), suppressed }, 'unable to look for a backlog; trying again'),
      );
    } finally {
      isScanning = false;
    }
  }

  /** While no notifications come, other processes cannot tell of what they save in groups that this one holds. */
  function lookAgain(): void {
    const startedAt = performance.now();
    const looked = listening?.hears() === false ? held.look() : Promise.resolve();
    void looked
      .catch((error: unknown) =>
        warn('look', (suppressed) =>
          log.warn({ ...describeFailure(error), suppressed }, 'unable to look for events of other processes'),
        ),
      )
      .then(() => {
        if (isStopping) return;
        // It may take a twentieth of the time, however many groups there are.
        looking = setTimeout(lookAgain, Math.max(LOOK_MS, (performance.now() - startedAt) * 20)).unref();
      });
  }

  /** In this process alone. */
  function look(groupId?: string, isOwnNews = false): void {
    if (groupId === undefined) {
      void scan();
      return;
    }
    enqueue(groupId, isOwnNews);
    pump();
  }

  return {
    async start() {
      poll = setInterval(() => void scan(), pollMs);
      held.start();
      if (!wakeUps) return;
      listening = await wakeUps.receive((groupId) => look(groupId));
      lookAgain();
    },
    wake(groupId, event) {
      if (groupId !== undefined && event && held.has(groupId)) fresh.put(groupId, event);
      look(groupId, true);
      if (groupId !== undefined && !relay.connected) wakeUps?.send(groupId);
    },
    release: () => held.releaseQuiet(),
    sentSeq: (groupId) => held.sentSeq(groupId),
    // The database has the cursor of a group that is held here a second late.
    whenDispatched: async (groupId, seq, timeoutMs) =>
      (held.sentSeq(groupId) ?? -1) >= seq || waiters.whenDispatched(groupId, seq, timeoutMs),
    async stop() {
      isStopping = true;
      clearInterval(poll);
      clearTimeout(looking);
      await listening?.();
      for (const timer of retries.values()) clearTimeout(timer);
      await Promise.all(active.values());
      await held.stop();
    },
  };
}
