import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import { createGroupDispatch } from './group-dispatch.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { RelayClient } from './relay-client.ts';
import { createWaiters } from './waiters.ts';
import type { WakeUps } from './wake-up.ts';

/**
 * The dispatcher brings every saved event to the relay: each group in its order, groups in parallel.
 *
 * An event is saved in the transaction of the change that it tells of, at the next position of its group. The group then has a backlog:
 * `seq` (saved) is above `dispatched_seq` (accepted by the relay), both in the group's row. That row is the queue. What a process keeps in
 * memory only says where to look, and may be lost at any time: the poll looks everywhere once a second.
 *
 *      commit ──┐                 ┌──────────────── one group (group-dispatch.ts) ────────────────┐
 *      NOTIFY ──┼─▶ queue ─▶ pump ─▶ claim ─▶ read ─▶ send ─▶ settle ──▶ nothing left: released │
 *      poll ────┘     ▲           │            ▲         │       │                               │
 *                     │           │            ├─────────│───────┘ more                          │
 *                     │           │            └── remedy ◀ refused ──▶ no remedy: postponed     │
 *                     │           └────────────────────────────────────────────────│──────────────┘
 *                     └─────────────────────── again after a delay ◀────────────────┘
 *
 * Claiming a group takes a lease on it, for some seconds, with a token that rises with every claim. No transaction is held while events
 * are sent. A process that dies leaves a lease that runs out; one that was frozen past its lease may send what another has sent since, which
 * the relay recognises by position, and its token is too old to move the cursor. Giving the lease back and seeing that nothing was left
 * is one statement, so no event slips in between, and an event that is saved while its group is claimed needs no wake-up.
 *
 * A wake-up goes to this process's own queue and, only where it has no relay to send to, to other processes: PostgreSQL puts the commits of
 * all NOTIFYs in a single line, so none is sent per message while all is well.
 */
export interface Dispatcher {
  /** Listens for wake-ups of other processes, and begins to poll. */
  start(): Promise<void>;
  /** There may be something to do: in this group, or anywhere. */
  wake(groupId?: string): void;
  /** Resolves true once the relay has accepted the group's events up to `seq`, false after `timeoutMs`. */
  whenDispatched(groupId: string, seq: number, timeoutMs: number): Promise<boolean>;
  /** Starts no new work, and resolves when what is under way is settled. */
  stop(): Promise<void>;
}

export interface DispatcherDeps {
  store: OutboxStore;
  relay: RelayClient;
  /** The dispatchers of other processes; without it this one is alone on its database. */
  wakeUps?: WakeUps;
  metrics: ApiMetrics;
  log: Logger;
}

export interface DispatcherOptions {
  /** How long a claimed group is held for a process that says nothing more, in milliseconds. */
  leaseMs: number;
  /** How often the poll looks for events that no wake-up told of, in milliseconds. */
  pollMs: number;
  /** Groups that are worked on at once. */
  concurrency: number;
  /** Longest that one question to the database may stay open, and, tenfold, one run to the relay, in milliseconds. */
  stepMs?: number;
}

/** Groups that one poll brings. */
const BACKLOG_GROUPS = 1_000;
/** Groups that wait here for their turn. What comes above it waits in the database, where the poll finds it. */
const MAX_QUEUED = 10_000;
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
  const { leaseMs, pollMs, concurrency, stepMs = STEP_MS } = options;
  const store = boundedStore(deps.store, stepMs);
  const waiters = createWaiters(store);
  const warn = warnOnceEvery(60_000);
  const queue = new Set<string>();
  const active = new Map<string, Promise<void>>();
  const retries = new Map<string, NodeJS.Timeout>();
  let poll: NodeJS.Timeout | undefined;
  let stopReceiving = async (): Promise<void> => undefined;
  let isStopping = false;
  let isScanning = false;
  const dispatchGroup = createGroupDispatch(
    {
      store,
      relay,
      metrics,
      log,
      onSettled: (groupId, seq) => waiters.settled(groupId, seq),
      isStopping: () => isStopping,
    },
    { leaseMs, stepMs },
  );

  async function dispatch(groupId: string): Promise<void> {
    try {
      const delay = await dispatchGroup(groupId);
      if (delay !== undefined) retryIn(delay, groupId);
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
      enqueue(groupId);
      pump();
    }, delay + 5);
    retries.set(groupId, timer.unref());
  }

  function enqueue(groupId: string): void {
    if (queue.size < MAX_QUEUED) queue.add(groupId);
  }

  function pump(): void {
    for (const groupId of queue) {
      if (isStopping || !relay.connected || active.size >= concurrency) return;
      if (active.has(groupId)) continue;
      queue.delete(groupId);
      const work = dispatch(groupId).finally(() => {
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
      for (const groupId of await store.findBacklog(BACKLOG_GROUPS)) enqueue(groupId);
      pump();
    } catch (error) {
      warn('scan', (suppressed) =>
        log.warn({ ...describeFailure(error), suppressed }, 'unable to look for a backlog; trying again'),
      );
    } finally {
      isScanning = false;
    }
  }

  /** In this process alone. */
  function look(groupId?: string): void {
    if (groupId === undefined) {
      void scan();
      return;
    }
    enqueue(groupId);
    pump();
  }

  return {
    async start() {
      poll = setInterval(() => void scan(), pollMs);
      if (wakeUps) stopReceiving = await wakeUps.receive(look);
    },
    wake(groupId) {
      look(groupId);
      if (groupId !== undefined && !relay.connected) wakeUps?.send(groupId);
    },
    whenDispatched: async (groupId, seq, timeoutMs) => waiters.whenDispatched(groupId, seq, timeoutMs),
    async stop() {
      isStopping = true;
      clearInterval(poll);
      await stopReceiving();
      for (const timer of retries.values()) clearTimeout(timer);
      await Promise.all(active.values());
    },
  };
}
