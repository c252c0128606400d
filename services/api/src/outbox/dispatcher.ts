import { randomUUID } from 'node:crypto';
import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import { type GroupcastError, generationOf, makeEpoch, type Position, positionSchema } from '@groupcast/shared';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { Lease, OutboxStore } from './outbox-store.ts';
import type { RelayClient, SendOutcome } from './relay-client.ts';

/**
 * Brings every saved event to the relay, each group in its order, groups in parallel.
 *
 * For one group: claim (a lease with a rising token), read, send, wait for the acknowledgement, settle (move the cursor;
 * give the lease back when nothing is left). No transaction is held while it sends. A process that was frozen past its
 * lease may send what another has sent since: the relay knows the positions, and the token keeps it from moving a cursor.
 */
export interface Dispatcher {
  /** There may be something to do: in this group, or anywhere. */
  wake(groupId?: string): void;
  /** Resolves true once the relay has accepted the group's events up to `seq`, false after `timeoutMs`. */
  whenDispatched(groupId: string, seq: number, timeoutMs: number): Promise<boolean>;
  /** Starts no new work, and resolves when what is under way is settled. */
  stop(): Promise<void>;
}

export interface DispatcherOptions {
  store: OutboxStore;
  relay: RelayClient;
  metrics: ApiMetrics;
  log: Logger;
  leaseMs: number;
  /** How often the safety net looks for events that no wake-up told of. */
  pollMs: number;
  concurrency: number;
  /** Longest that one question to the database may stay open, and, tenfold, one run to the relay, in milliseconds. */
  stepMs?: number;
}

const BATCH_EVENTS = 500;
const BACKLOG_GROUPS = 1_000;
/** Groups that wait here for their turn. What comes above it waits in the database, where the poll finds it. */
const MAX_QUEUED = 10_000;
/** Longer than the database and the broadcaster take to give up by themselves. */
const STEP_MS = 12_000;
const SEND_STEPS = 10;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 15_000;
const WATCH_INTERVAL_MS = 100;
/** In one turn at a group; after that it waits like any other failure, so that nothing spins. */
const MAX_RECOVERIES = 5;
/** What the relay refuses for good because of the event itself, not because of us. */
const POISON_CODES: ReadonlySet<string> = new Set(['INVALID_PAYLOAD', 'PAYLOAD_TOO_LARGE']);

function backoff(attempts: number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(attempts, 16));
  return Math.round(ceiling * (0.5 + Math.random() / 2));
}

/** The same store, where no group, and no scan, waits for an answer without an end. */
function boundedStore(store: OutboxStore, ms: number): OutboxStore {
  const bounded = Object.entries(store).map(([name, ask]: [string, (...input: unknown[]) => Promise<unknown>]) => [
    name,
    async (...input: unknown[]) => within(ms, ask(...input), `the outbox to answer ${name}`),
  ]);
  return Object.fromEntries(bounded) as OutboxStore;
}

function headOf(error: GroupcastError): Position | undefined {
  return positionSchema.safeParse(error.details?.['head']).data;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { metrics, log, leaseMs, stepMs = STEP_MS } = options;
  const store = boundedStore(options.store, stepMs);
  const { relay } = options;
  const queue = new Set<string>();
  const active = new Map<string, Promise<void>>();
  const retries = new Map<string, NodeJS.Timeout>();
  const waiters = new Map<string, Set<{ seq: number; done: () => void }>>();
  const warn = warnOnceEvery(60_000);
  let stopped = false;
  let scanning = false;

  function settled(groupId: string, seq: number): void {
    for (const waiter of waiters.get(groupId) ?? []) if (waiter.seq <= seq) waiter.done();
  }

  /** The relay knows events that this database does not: it was restored from a backup. */
  async function openEpoch(lease: Lease, head: Position): Promise<boolean> {
    const generation = Math.max(generationOf(head.epoch), generationOf(lease.epoch)) + 1;
    const epoch = makeEpoch(generation, randomUUID().slice(0, 8));
    log.warn(
      { groupId: lease.groupId, from: lease.epoch, to: epoch, head },
      'the relay knows other events: opening a new epoch',
    );
    metrics.epochsOpened.inc();
    lease.epoch = epoch;
    return store.changeEpoch(lease, epoch);
  }

  /**
   * A duplicate is one only if the relay knows no more than the database. Where its log is further, it holds other events
   * under these positions: what it took for duplicates goes out again, in a new epoch. False: the lease is lost.
   */
  async function checkDuplicates(lease: Lease, outcome: SendOutcome): Promise<boolean> {
    const { duplicateHead } = outcome;
    if (!duplicateHead || duplicateHead.seq <= (await store.savedSeq(lease.groupId))) return true;
    outcome.acceptedSeq = lease.dispatchedSeq;
    return openEpoch(lease, duplicateHead);
  }

  /** Deals with the reason why the relay did not take an event. False: the group has to wait. */
  async function recover(lease: Lease, { seq, error, ofEvent }: NonNullable<SendOutcome['failure']>): Promise<boolean> {
    if (!ofEvent) return false;
    const head = headOf(error);
    if (error.code === 'CONFLICT' && head) return openEpoch(lease, head);
    if (error.code === 'POSITION_GAP' && head && head.seq < seq) {
      log.warn(
        { groupId: lease.groupId, from: lease.dispatchedSeq, to: head.seq },
        'the relay is missing events: going back',
      );
      lease.dispatchedSeq = head.seq;
      return store.rewind(lease, head.seq);
    }
    if (POISON_CODES.has(error.code)) {
      log.error({ err: error, groupId: lease.groupId, seq }, 'the relay refuses an event for good: it is omitted');
      metrics.eventsOmitted.inc();
      await store.replace(lease, seq, { id: randomUUID(), type: 'event-omitted', payload: { code: error.code } });
      return true;
    }
    return false;
  }

  async function settle(lease: Lease, outcome: SendOutcome): Promise<'released' | 'more' | 'lost'> {
    const progressed = outcome.acceptedSeq - lease.dispatchedSeq;
    if (progressed <= 0) return 'more';
    metrics.dispatched.inc(progressed);
    lease.dispatchedSeq = outcome.acceptedSeq;
    const state = await store.settle(lease, outcome.acceptedSeq);
    if (state !== 'lost') settled(lease.groupId, outcome.acceptedSeq);
    return state;
  }

  async function postpone(lease: Lease, error: GroupcastError): Promise<void> {
    const { groupId } = lease;
    const { retryAfterMs } = error;
    // A relay whose members are behind knows better than a guess that doubles; whatever it says, nothing spins or stalls.
    const delay =
      retryAfterMs === undefined
        ? backoff(await store.attempts(groupId))
        : Math.min(Math.max(retryAfterMs, RETRY_MIN_MS), RETRY_MAX_MS);
    metrics.dispatchFailures.inc({ code: error.code });
    // What cannot succeed by waiting needs a person.
    warn(error.code, (suppressed) => {
      const level = error.retryable ? 'warn' : 'error';
      log[level]({ err: error, groupId, suppressed }, 'unable to dispatch; what is saved waits, and is tried again');
    });
    await store.postpone(lease, delay);
    clearTimeout(retries.get(groupId));
    const timer = setTimeout(() => {
      retries.delete(groupId);
      wake(groupId);
    }, delay + 5);
    retries.set(groupId, timer.unref());
  }

  async function dispatchGroup(groupId: string): Promise<void> {
    // The lease may have begun as soon as it was asked for, however late the answer is.
    const halfway = (): number => performance.now() + leaseMs / 2;
    let goodUntil = halfway();
    const claimed = await store.claim(groupId, BATCH_EVENTS);
    if (!claimed) return;
    const { lease } = claimed;
    let { events } = claimed;
    for (let recoveries = 0; ; ) {
      if (events.length === 0) events = await store.read(lease, BATCH_EVENTS);
      if (events.length === 0)
        throw new Error(`the outbox of group ${groupId} has no event after ${lease.dispatchedSeq}`);
      if (performance.now() > goodUntil) {
        goodUntil = halfway();
        if (!(await store.renew(lease))) return;
      }
      const outcome = await within(stepMs * SEND_STEPS, relay.send(lease, events, goodUntil), 'the relay to answer');
      events = [];
      if (!(await checkDuplicates(lease, outcome))) return;
      const state = await settle(lease, outcome);
      if (state !== 'more') return;
      if (outcome.failure) {
        recoveries += 1;
        if (recoveries > MAX_RECOVERIES || !(await recover(lease, outcome.failure))) {
          await postpone(lease, outcome.failure.error);
          return;
        }
      }
      if (stopped) {
        await store.postpone(lease, 0);
        return;
      }
    }
  }

  function enqueue(groupId: string): void {
    if (queue.size < MAX_QUEUED) queue.add(groupId);
  }

  function pump(): void {
    for (const groupId of queue) {
      if (stopped || !relay.connected || active.size >= options.concurrency) return;
      if (active.has(groupId)) continue;
      queue.delete(groupId);
      const work = dispatchGroup(groupId)
        .catch((error: unknown) => {
          // The lease runs out by itself, and the poll finds the group again.
          warn('interrupted', (suppressed) =>
            log.warn({ ...describeFailure(error), groupId, suppressed }, 'dispatch was interrupted'),
          );
        })
        .finally(() => {
          active.delete(groupId);
          pump();
        });
      active.set(groupId, work);
    }
  }

  async function scan(): Promise<void> {
    if (scanning || stopped || !relay.connected) return;
    scanning = true;
    try {
      for (const groupId of await store.findBacklog(BACKLOG_GROUPS)) enqueue(groupId);
      pump();
    } catch (error) {
      warn('scan', (suppressed) =>
        log.warn({ ...describeFailure(error), suppressed }, 'unable to look for a backlog; trying again'),
      );
    } finally {
      scanning = false;
    }
  }

  function wake(groupId?: string): void {
    if (groupId === undefined) {
      void scan();
      return;
    }
    enqueue(groupId);
    pump();
  }

  const poll = setInterval(() => void scan(), options.pollMs);

  return {
    wake,
    async whenDispatched(groupId, seq, timeoutMs) {
      return new Promise<boolean>((resolve) => {
        const finish = (result: boolean): void => {
          clearTimeout(timer);
          clearInterval(watch);
          const set = waiters.get(groupId);
          set?.delete(waiter);
          if (set?.size === 0) waiters.delete(groupId);
          resolve(result);
        };
        const waiter = { seq, done: () => finish(true) };
        const timer = setTimeout(() => finish(false), timeoutMs);
        let isAsking = false;
        // Another process may be the one that dispatches.
        const watch = setInterval(() => {
          if (isAsking) return;
          isAsking = true;
          store
            .dispatchedSeq(groupId)
            .then(
              (dispatched) => {
                if (dispatched >= seq) finish(true);
              },
              () => undefined,
            )
            .finally(() => {
              isAsking = false;
            });
        }, WATCH_INTERVAL_MS);
        const set = waiters.get(groupId) ?? new Set();
        waiters.set(groupId, set.add(waiter));
      });
    },
    async stop() {
      stopped = true;
      clearInterval(poll);
      for (const timer of retries.values()) clearTimeout(timer);
      await Promise.all(active.values());
    },
  };
}
