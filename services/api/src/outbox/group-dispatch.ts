import { randomUUID } from 'node:crypto';
import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import { type GroupcastError, generationOf, makeEpoch, type Position } from '@groupcast/shared';
import type { ApiMetrics } from '../metrics.ts';
import type { Lease, OutboxStore } from './outbox-store.ts';
import type { RelayClient, SendOutcome } from './relay-client.ts';
import { backoff, boundDelay, remedyFor } from './remedy.ts';

const BATCH_EVENTS = 500;
/** Longest that one run to the relay may take, in steps. */
const SEND_STEPS = 10;
/** Remedies in one turn at a group; after that it waits like any other failure, so that nothing spins. */
const MAX_REMEDIES = 5;

/**
 * Brings the backlog of one group to the relay, as far as it goes now. Resolves to the milliseconds after which the group is to be tried
 * again, or to nothing: the group has no backlog left, or is another process's.
 */
export type GroupDispatch = (groupId: string) => Promise<number | undefined>;

export function createGroupDispatch(
  deps: {
    store: OutboxStore;
    relay: RelayClient;
    metrics: ApiMetrics;
    log: Logger;
    onSettled: (groupId: string, seq: number) => void;
    /** No new work is to be started: what is under way is settled, and the group given back. */
    isStopping: () => boolean;
  },
  options: { leaseMs: number; stepMs: number },
): GroupDispatch {
  const { store, relay, metrics, log } = deps;
  const { leaseMs, stepMs } = options;
  const warn = warnOnceEvery(60_000);

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

  /** Deals with the reason why the relay did not take an event. False: the group has to wait, or the lease is lost. */
  async function recover(lease: Lease, failure: NonNullable<SendOutcome['failure']>): Promise<boolean> {
    const { groupId } = lease;
    const { seq, error } = failure;
    const remedy = remedyFor(failure);
    switch (remedy.kind) {
      case 'open-epoch':
        return openEpoch(lease, remedy.head);
      case 'go-back':
        log.warn({ groupId, from: lease.dispatchedSeq, to: remedy.to }, 'the relay is missing events: going back');
        lease.dispatchedSeq = remedy.to;
        return store.rewind(lease, remedy.to);
      case 'omit':
        log.error({ err: error, groupId, seq }, 'the relay refuses an event for good: it is omitted');
        metrics.eventsOmitted.inc();
        await store.replace(lease, seq, { id: randomUUID(), type: 'event-omitted', payload: { code: error.code } });
        return true;
      case 'wait':
        return false;
      default:
        return remedy satisfies never;
    }
  }

  async function settle(lease: Lease, outcome: SendOutcome): Promise<'released' | 'more' | 'lost'> {
    const progressed = outcome.acceptedSeq - lease.dispatchedSeq;
    if (progressed <= 0) return 'more';
    metrics.dispatched.inc(progressed);
    lease.dispatchedSeq = outcome.acceptedSeq;
    const state = await store.settle(lease, outcome.acceptedSeq);
    if (state !== 'lost') deps.onSettled(lease.groupId, outcome.acceptedSeq);
    return state;
  }

  async function postpone(lease: Lease, error: GroupcastError): Promise<number> {
    const { groupId } = lease;
    const { code, retryable, retryAfterMs } = error;
    const delay = retryAfterMs === undefined ? backoff(await store.attempts(groupId)) : boundDelay(retryAfterMs);
    metrics.dispatchFailures.inc({ code });
    // An event that cannot succeed by waiting needs a person.
    warn(code, (suppressed) => {
      const level = retryable ? 'warn' : 'error';
      log[level]({ err: error, groupId, suppressed }, 'unable to dispatch; what is saved waits, and is tried again');
    });
    await store.postpone(lease, delay);
    return delay;
  }

  return async (groupId) => {
    // The lease may have begun as soon as it was asked for, however late the answer is.
    const halfway = (): number => performance.now() + leaseMs / 2;
    let goodUntil = halfway();
    const claimed = await store.claim(groupId, BATCH_EVENTS);
    if (!claimed) return undefined;
    const { lease } = claimed;
    let { events } = claimed;
    for (let remedies = 0; ; ) {
      if (events.length === 0) events = await store.read(lease, BATCH_EVENTS);
      if (events.length === 0)
        throw new Error(`the outbox of group ${groupId} has no event after ${lease.dispatchedSeq}`);
      if (performance.now() > goodUntil) {
        goodUntil = halfway();
        if (!(await store.renew(lease))) return undefined;
      }
      const outcome = await within(stepMs * SEND_STEPS, relay.send(lease, events, goodUntil), 'the relay to answer');
      events = [];
      if (!(await checkDuplicates(lease, outcome))) return undefined;
      if ((await settle(lease, outcome)) !== 'more') return undefined;
      if (outcome.failure) {
        remedies += 1;
        if (remedies > MAX_REMEDIES || !(await recover(lease, outcome.failure)))
          return postpone(lease, outcome.failure.error);
      }
      if (deps.isStopping()) {
        await store.postpone(lease, 0);
        return undefined;
      }
    }
  };
}
