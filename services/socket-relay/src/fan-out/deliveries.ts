import type { Position } from '@groupcast/shared';
import type { Marks } from '../sessions/marks.ts';
import type { DeliveryExceptions, OutgoingEvent } from './fan-out.ts';

/** One event that this node has handed to its members. */
export interface Delivery {
  readonly number: number;
  readonly groupId: string;
  readonly id: string;
  readonly event: string;
  readonly position: Position | null;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly except: DeliveryExceptions;
  /** The delivery before it in its group, while the node remembers that one. */
  before: Delivery | undefined;
}

/** Names one event of a group. */
export type EventName = { id: string } | { seq: number; epoch: string | undefined };

export function eventNameOf(given: {
  id?: string | undefined;
  seq?: number | undefined;
  epoch?: string | undefined;
}): EventName {
  const { id, seq = 0, epoch } = given;
  return id === undefined ? { seq, epoch } : { id };
}

/** Events that a connection was sent when it came, because it had missed them. */
interface Recovered {
  after: number;
  upTo: number;
  /** Everything before this number is older. */
  number: number;
}

/**
 * The last events that this node has handed to its members, with their numbers. A connection gets its events in this order, so two numbers for
 * each connection (`Mark`) say how far every one of them is.
 */
export interface Deliveries {
  record(groupId: string, event: OutgoingEvent, except: DeliveryExceptions): void;
  find(groupId: string, name: EventName): Delivery | undefined;
  /** Returns the last event of the group among the first `upTo` deliveries. */
  lastUpTo(groupId: string, upTo: number): Delivery | undefined;
  /** A connection that goes live now is sent the events of the group after `after`, up to `upTo`. */
  recovered(socketId: string, groupId: string, seqs: { after: number; upTo: number }): void;
  /** Returns the number from which on a connection has been sent this event, if it was one of those that it had missed. */
  recoveredAt(socketId: string, groupId: string, seq: number): number | undefined;
  /** Calls `listener` with each delivery of the group, until the result is called. */
  watch(groupId: string, listener: (delivery: Delivery) => void): () => void;
}

/** Deliveries that are remembered: about 5 MB, and at a thousand a second half a minute, which is longer than a beat. */
const MAX_DELIVERIES = 32_768;
/** Connections of which it is remembered that they were sent what they had missed, the newest ones. */
const MAX_RECOVERED = 10_000;

export function createDeliveries(
  marks: Marks,
  { max = MAX_DELIVERIES, now = Date.now }: { max?: number; now?: () => number } = {},
): Deliveries {
  const ring: Delivery[] = [];
  let next = 0;
  const lastOf = new Map<string, Delivery>();
  const recoveries = new Map<string, Map<string, Recovered>>();
  const watchers = new Map<string, Set<(delivery: Delivery) => void>>();

  function forget(delivery: Delivery | undefined): void {
    if (!delivery) return;
    // Otherwise each would hold all those before it.
    delivery.before = undefined;
    if (lastOf.get(delivery.groupId) === delivery) lastOf.delete(delivery.groupId);
  }

  function oldest(): number {
    return ring[ring.length < max ? 0 : next]?.number ?? 0;
  }

  function find(groupId: string, isIt: (delivery: Delivery) => boolean): Delivery | undefined {
    const first = oldest();
    for (let each = lastOf.get(groupId); each && each.number >= first; each = each.before) if (isIt(each)) return each;
    return undefined;
  }

  return {
    record(groupId, { event, id, position }, except) {
      const delivery: Delivery = {
        number: marks.next(),
        groupId,
        id,
        event,
        position,
        at: now(),
        except,
        before: lastOf.get(groupId),
      };
      forget(ring[next]);
      ring[next] = delivery;
      next = (next + 1) % max;
      lastOf.set(groupId, delivery);
      for (const listener of watchers.get(groupId) ?? []) listener(delivery);
    },
    find(groupId, name) {
      if ('id' in name) return find(groupId, ({ id }) => id === name.id);
      const { seq, epoch } = name;
      return find(groupId, ({ position: at }) => at?.seq === seq && (epoch === undefined || at.epoch === epoch));
    },
    lastUpTo: (groupId, upTo) => find(groupId, ({ number }) => number <= upTo),
    recovered(socketId, groupId, { after, upTo }) {
      const groups = recoveries.get(socketId) ?? new Map<string, Recovered>();
      recoveries.delete(socketId);
      recoveries.set(socketId, groups.set(groupId, { after, upTo, number: marks.next() }));
      if (recoveries.size <= MAX_RECOVERED) return;
      const [first] = recoveries.keys();
      if (first !== undefined) recoveries.delete(first);
    },
    recoveredAt(socketId, groupId, seq) {
      const known = recoveries.get(socketId)?.get(groupId);
      return known && seq > known.after && seq <= known.upTo ? known.number : undefined;
    },
    watch(groupId, listener) {
      const listeners = watchers.get(groupId) ?? new Set();
      watchers.set(groupId, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) watchers.delete(groupId);
      };
    },
  };
}
