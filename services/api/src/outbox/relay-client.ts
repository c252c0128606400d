import { type BatchItemResult, type Broadcaster, GroupcastError } from '@groupcast/broadcaster';
import { beginHop, type Hop } from '@groupcast/service-kit';
import { BROADCAST_LIMITS, type BroadcastInput, type JsonObject, type Position } from '@groupcast/shared';
import type { MembershipEffect, StoredEvent } from '../events/stored-event.ts';
import type { Lease } from './outbox-store.ts';
import { createSharedBatches, type GroupRun, MAX_BATCH } from './shared-batches.ts';

/** How far the relay has accepted a group's events, and why not further. */
export interface SendOutcome {
  acceptedSeq: number;
  /** The head of the relay's log, where it has recognised some events as duplicates. */
  duplicateHead?: Position;
  failure?: {
    seq: number;
    error: GroupcastError;
    /** True where the event itself was refused, and not its membership effect. */
    ofEvent: boolean;
  };
}

/** Maps outbox rows to the broadcaster's calls. */
export interface RelayClient {
  readonly connected: boolean;
  /**
   * Sends in order, and stops at the first failure, or between two calls once `until` (of `performance.now()`) has passed: the
   * lease has to be renewed then. A membership effect is done before what follows it is sent.
   */
  send(lease: Lease, events: readonly StoredEvent[], until: number): Promise<SendOutcome>;
}

/** How long a group is sent by itself after a run of it has failed or was slow, and from when on it was slow, in milliseconds. */
const ALONE_MS = 5_000;
const SLOW_MS = 500;
const MAX_ALONE = 10_000;

/** Codes with which the removal of everybody fails on a relay of an earlier version, or where another relay behind it is one. */
const UNKNOWN_TO_RELAY: ReadonlySet<string> = new Set(['INVALID_PAYLOAD', 'BROKER_UNAVAILABLE']);

function toBroadcast(
  { groupId, epoch }: Lease,
  { seq, id, type, payload }: StoredEvent,
  hop: Hop | undefined,
): BroadcastInput {
  const { traceparent } = hop ?? {};
  return { groupId, id, event: type, epoch, seq, message: payload, ...(traceparent ? { traceparent } : {}) };
}

/** Sends events as steps of their traces, those that have one. */
async function sendAsHops(
  lease: Lease,
  run: readonly StoredEvent[],
  send: (inputs: BroadcastInput[]) => Promise<BatchItemResult[]>,
): Promise<BatchItemResult[]> {
  const hops = run.map(({ id, seq, traceparent }) =>
    beginHop('groupcast.dispatch', traceparent, {
      'groupcast.group.id': lease.groupId,
      'groupcast.message.id': id,
      'groupcast.seq': seq,
    }),
  );
  try {
    const results = await send(run.map((event, index) => toBroadcast(lease, event, hops[index])));
    for (const [index, hop] of hops.entries()) {
      const result = results[index];
      hop?.end({}, result?.ok ? undefined : toError(result));
    }
    return results;
  } catch (error) {
    for (const hop of hops) hop?.end({}, error);
    throw error;
  }
}

/** Bytes of an event beside its payload. */
const ENVELOPE_BYTES = 500;

const bytesOf = (payload: JsonObject): number => Buffer.byteLength(JSON.stringify(payload));

/**
 * The event, and how many bytes its payload has as JSON. The sender of a message may have got a larger profile since it was saved, and one of an
 * earlier version was saved without a sender: where there is no room the event goes without, because the relay would refuse it for good.
 */
function fitted(event: StoredEvent, maxBytes: number): { event: StoredEvent; bytes: number } {
  const { sender, ...payload } = event.payload;
  const { senderId } = payload;
  let bytes = bytesOf(event.payload);
  if (bytes <= maxBytes || sender === undefined || typeof senderId !== 'string') return { event, bytes };
  const byId = { ...payload, sender: { userId: senderId } };
  bytes = bytesOf(byId);
  if (bytes <= maxBytes) return { event: { ...event, payload: byId }, bytes };
  return { event: { ...event, payload }, bytes: bytesOf(payload) };
}

/** Divides events into runs that may be sent as one batch: an event with an effect is sent alone. */
function* segments(
  events: readonly StoredEvent[],
  maxPayloadBytes: number,
): Generator<{ run: StoredEvent[]; bytes: number }> {
  let run: StoredEvent[] = [];
  let bytes = 0;
  for (const saved of events) {
    const { event, bytes: payloadBytes } = fitted(saved, maxPayloadBytes);
    const size = payloadBytes + ENVELOPE_BYTES;
    const full = run.length >= MAX_BATCH.items || bytes + size > MAX_BATCH.bytes;
    if (run.length > 0 && (event.effect || full || run.at(-1)?.effect)) {
      yield { run, bytes };
      run = [];
      bytes = 0;
    }
    run.push(event);
    bytes += size;
  }
  if (run.length > 0) yield { run, bytes };
}

function toError(result: BatchItemResult | undefined): GroupcastError {
  if (result && !result.ok) {
    const { code, message, details, retryAfterMs } = result.error;
    return new GroupcastError(code, message, {
      ...(details === undefined ? {} : { details }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
  return new GroupcastError('INTERNAL', 'unable to read the answer of the relay; a result is missing');
}

/** `maxPayloadBytes`: the largest payload that the relay takes, as bytes of UTF-8 JSON. */
export function createRelayClient(
  broadcaster: Broadcaster,
  { maxPayloadBytes }: { maxPayloadBytes: number },
): RelayClient {
  /** Calls once for every chunk of users: large groups take several calls. */
  async function follow(
    call: Broadcaster['addMembers'],
    place: { groupId: string; epoch: string; seq: number },
    userIds: readonly string[] | undefined,
  ): Promise<void> {
    for (let from = 0; from < (userIds?.length ?? 0); from += BROADCAST_LIMITS.userIds) {
      await call({ ...place, userIds: userIds?.slice(from, from + BROADCAST_LIMITS.userIds) ?? [] });
    }
  }

  /** Removes everybody with one change, however large the group is; a relay of an earlier version is sent the names instead. */
  async function remove(
    place: { groupId: string; epoch: string; seq: number },
    effect: MembershipEffect | undefined,
  ): Promise<void> {
    if (effect?.everyone) {
      try {
        await broadcaster.removeMembers({ ...place, everyone: true });
        return;
      } catch (error) {
        if (!(error instanceof GroupcastError) || !UNKNOWN_TO_RELAY.has(error.code)) throw error;
      }
    }
    await follow((members) => broadcaster.removeMembers(members), place, effect?.remove);
  }

  const batches = createSharedBatches(broadcaster);
  /** Groups that would hold up others in a batch, and until when that is taken for granted. */
  const alone = new Map<string, number>();

  function separate(groupId: string): void {
    if (alone.size >= MAX_ALONE) alone.clear();
    alone.set(groupId, performance.now() + ALONE_MS);
  }

  async function broadcast(groupId: string, run: GroupRun): Promise<BatchItemResult[]> {
    const isAlone = performance.now() < (alone.get(groupId) ?? 0);
    const startedAt = performance.now();
    try {
      const results = isAlone ? await batches.sendAlone(run) : await batches.send(run);
      if (results.some(({ ok }) => !ok) || performance.now() - startedAt > SLOW_MS) separate(groupId);
      return results;
    } catch (error) {
      separate(groupId);
      throw error;
    }
  }

  async function sendRun(lease: Lease, run: readonly StoredEvent[], bytes: number): Promise<SendOutcome> {
    const { groupId, epoch } = lease;
    const effect = run[0]?.effect;
    let acceptedSeq = lease.dispatchedSeq;
    let current = run[0]?.seq ?? acceptedSeq;
    let ofEvent = false;
    let duplicateHead: Position | undefined;
    try {
      // Added users see their own arrival; removed ones see their own removal, which is the last event they receive.
      await follow((members) => broadcaster.addMembers(members), { groupId, epoch, seq: current }, effect?.add);
      ofEvent = true;
      const results = await sendAsHops(lease, run, async (inputs) => broadcast(groupId, { inputs, bytes }));
      for (const [index, event] of run.entries()) {
        current = event.seq;
        const result = results[index];
        if (!result?.ok) throw toError(result);
        if (result.duplicate && result.head) duplicateHead = result.head;
        ofEvent = false;
        await remove({ groupId, epoch, seq: event.seq }, effect);
        ofEvent = true;
        acceptedSeq = event.seq;
      }
      return { acceptedSeq, ...(duplicateHead ? { duplicateHead } : {}) };
    } catch (error) {
      const failure =
        error instanceof GroupcastError
          ? error
          : new GroupcastError('INTERNAL', 'unable to dispatch', { cause: error });
      return { acceptedSeq, failure: { seq: current, error: failure, ofEvent } };
    }
  }

  return {
    get connected() {
      return broadcaster.connected;
    },
    async send(lease, events, until) {
      let { dispatchedSeq: acceptedSeq } = lease;
      let duplicateHead: Position | undefined;
      for (const { run, bytes } of segments(events, maxPayloadBytes)) {
        if (acceptedSeq > lease.dispatchedSeq && performance.now() > until) break;
        const outcome = await sendRun({ ...lease, dispatchedSeq: acceptedSeq }, run, bytes);
        ({ acceptedSeq } = outcome);
        duplicateHead = outcome.duplicateHead ?? duplicateHead;
        if (outcome.failure) return { ...outcome, ...(duplicateHead ? { duplicateHead } : {}) };
      }
      return { acceptedSeq, ...(duplicateHead ? { duplicateHead } : {}) };
    },
  };
}
