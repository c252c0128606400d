import { randomUUID } from 'node:crypto';
import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import { type GroupcastError, generationOf, makeEpoch, type Position } from '@groupcast/shared';
import type { StoredEvent } from '../events/stored-event.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { FreshEvents } from './fresh-events.ts';
import type { HeldGroup, HeldGroups } from './held-groups.ts';
import type { Lease, OutboxStore } from './outbox-store.ts';
import type { RelayClient, SendOutcome } from './relay-client.ts';
import { backoff, boundDelay, remedyFor } from './remedy.ts';

const BATCH_EVENTS = 500;
/** Longest that one run to the relay may take, in steps. */
const SEND_STEPS = 10;
/** Remedies in one turn at a group; after that it waits like any other failure, so that nothing spins. */
const MAX_REMEDIES = 5;

export type Dispatched =
  /** Nothing is left to send, or the lease is lost. */
  | { kind: 'done' }
  /** Another process holds the group. */
  | { kind: 'elsewhere' }
  /** To be tried again after this delay. */
  | { kind: 'later'; delayMs: number };

/** Brings the backlog of one group to the relay, as far as it goes now. */
export type GroupDispatch = (groupId: string) => Promise<Dispatched>;

const DONE: Dispatched = { kind: 'done' };

export function createGroupDispatch(
  deps: {
    store: OutboxStore;
    held: HeldGroups;
    fresh: FreshEvents;
    relay: RelayClient;
    metrics: ApiMetrics;
    log: Logger;
    onSettled: (groupId: string, seq: number) => void;
    /** Somebody has called for this group since its turn began. */
    isWanted: (groupId: string) => boolean;
    /** No new work is to be started: what is under way is settled, and the group given back. */
    isStopping: () => boolean;
  },
  options: { stepMs: number },
): GroupDispatch {
  const { store, held: groups, fresh, relay, metrics, log } = deps;
  const { stepMs } = options;
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

  /** The relay's log ends earlier. Where it ends before the history that is kept, that goes out in a new epoch: nothing fits in between. */
  async function goBack(held: HeldGroup, to: number): Promise<boolean> {
    const { lease } = held;
    const { groupId, epoch } = lease;
    log.warn({ groupId, from: lease.dispatchedSeq, to }, 'the relay is missing events: going back');
    // A cursor that is on its way to the database would overtake this one.
    await held.settling;
    const floor = await store.floorSeq(groupId);
    lease.dispatchedSeq = Math.max(to, floor);
    if (!(await store.rewind(lease, lease.dispatchedSeq))) return false;
    return to >= floor || openEpoch(lease, { epoch, seq: to });
  }

  /** Deals with the reason why the relay did not take an event. False: the group has to wait, or the lease is lost. */
  async function recover(held: HeldGroup, failure: NonNullable<SendOutcome['failure']>): Promise<boolean> {
    const { lease } = held;
    const { groupId } = lease;
    const { seq, error } = failure;
    const remedy = remedyFor(failure);
    switch (remedy.kind) {
      case 'open-epoch':
        return openEpoch(lease, remedy.head);
      case 'go-back':
        return goBack(held, remedy.to);
      case 'omit':
        log.error({ err: error, groupId, seq }, 'the relay refuses an event for good: it is omitted');
        metrics.eventsOmitted.inc();
        await store.omit(lease, seq, { id: randomUUID(), code: error.code });
        return true;
      case 'wait':
        return false;
      default:
        return remedy satisfies never;
    }
  }

  /** Only messages say when they were saved. */
  function noteLag(events: readonly StoredEvent[], acceptedSeq: number): void {
    const now = Date.now();
    for (const { seq, type, payload } of events) {
      const { createdAt } = payload;
      if (seq > acceptedSeq || type !== 'new-message' || typeof createdAt !== 'string') continue;
      metrics.outboxLag.observe(Math.max(0, now - Date.parse(createdAt)) / 1_000);
    }
  }

  /**
   * Moves the cursor. It is written now and then by itself, but at once where callers may wait for it in other processes: those who have changed
   * who is in the group. False: the lease is lost.
   */
  async function settle(
    held: HeldGroup,
    events: readonly StoredEvent[],
    { acceptedSeq, duplicateHead }: SendOutcome,
    isRepeated: boolean,
  ): Promise<boolean> {
    const { lease } = held;
    const progressed = acceptedSeq - lease.dispatchedSeq;
    if (progressed <= 0) return !held.isLost;
    metrics.dispatched.inc(progressed);
    if (!isRepeated && !duplicateHead) noteLag(events, acceptedSeq);
    lease.dispatchedSeq = acceptedSeq;
    const isAwaited = events.some(({ seq, effect }) => effect !== undefined && seq <= acceptedSeq);
    if (held.isLost || (isAwaited && !(await groups.write(held)))) return false;
    deps.onSettled(lease.groupId, acceptedSeq);
    return true;
  }

  async function postpone(held: HeldGroup, error: GroupcastError): Promise<Dispatched> {
    const { lease } = held;
    const { groupId } = lease;
    const { code, retryable, retryAfterMs } = error;
    const delayMs = retryAfterMs === undefined ? backoff(await store.attempts(groupId)) : boundDelay(retryAfterMs);
    metrics.dispatchFailures.inc({ code });
    // An event that cannot succeed by waiting needs a person.
    warn(code, (suppressed) => {
      const level = retryable ? 'warn' : 'error';
      log[level]({ err: error, groupId, suppressed }, 'unable to dispatch; what is saved waits, and is tried again');
    });
    // A cursor that is on its way to the database would take the lease again, and the group would wait for it to run out.
    await held.settling;
    groups.drop(held);
    await store.postpone(lease, delayMs, code);
    return { kind: 'later', delayMs };
  }

  async function work(held: HeldGroup, claimed: StoredEvent[]): Promise<Dispatched> {
    const { lease } = held;
    const { groupId } = lease;
    let remedies = 0;
    for (let known = claimed; ; known = []) {
      const events =
        known.length > 0
          ? known
          : (fresh.take(groupId, lease.dispatchedSeq) ?? (await store.read(lease, BATCH_EVENTS)));
      if (events.length === 0) break;
      if (performance.now() > held.goodUntil && !(await groups.renew(held))) return DONE;
      const sending = relay.send(lease, events, held.goodUntil);
      const outcome = await within(stepMs * SEND_STEPS, sending, 'the relay to answer');
      if (!(await checkDuplicates(lease, outcome)) || !(await settle(held, events, outcome, remedies > 0))) return DONE;
      if (outcome.failure) {
        remedies += 1;
        if (remedies > MAX_REMEDIES || !(await recover(held, outcome.failure)))
          return held.isLost ? DONE : postpone(held, outcome.failure.error);
      }
      if (deps.isStopping()) break;
      const isAll = events.length < BATCH_EVENTS && lease.dispatchedSeq === events.at(-1)?.seq;
      // An event that is saved later calls for the group: in this process or, by a notification, from another.
      if (isAll && !deps.isWanted(groupId)) break;
    }
    groups.rest(held);
    return DONE;
  }

  return async (groupId) => {
    const own = await groups.take(groupId);
    const askedAt = performance.now();
    const claim = own ? undefined : await store.claim(groupId, BATCH_EVENTS);
    if (claim && claim.kind !== 'claimed') return claim.kind === 'elsewhere' ? { kind: 'elsewhere' } : DONE;
    const held = own ?? (claim && groups.add(claim.lease, askedAt));
    if (!held) return DONE;
    try {
      return await work(held, claim?.events ?? []);
    } catch (error) {
      // The lease runs out by itself.
      groups.drop(held);
      throw error;
    }
  };
}
