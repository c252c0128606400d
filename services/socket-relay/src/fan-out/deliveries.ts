import type { Position } from '@groupcast/shared';
import type { Marks } from '../sessions/marks.ts';
import type { Voice } from '../sessions/voices.ts';
import type { DeliveryExceptions, OutgoingEvent } from './fan-out.ts';

/** Connections that were not sent the event. `wordless`: those for whose voice it is nothing. */
export interface LeftOut extends DeliveryExceptions {
  wordless?: ReadonlySet<Voice>;
}

/** One event that this node has handed to its members. */
export interface Delivery {
  readonly number: number;
  readonly groupId: string;
  readonly id: string;
  readonly event: string;
  readonly position: Position | null;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly except: LeftOut;
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

export function isNamed({ id, position }: Delivery, name: EventName): boolean {
  if ('id' in name) return id === name.id;
  return position?.seq === name.seq && (name.epoch === undefined || position.epoch === name.epoch);
}

/** Positions of a group grow within an epoch. */
function isBefore({ position }: Delivery, name: EventName): boolean {
  return 'seq' in name && position !== null && position.epoch === name.epoch && position.seq < name.seq;
}

/** Events that a connection was sent when it came, because it had missed them. */
interface Recovered {
  epoch: string;
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
  record(groupId: string, event: OutgoingEvent, except: LeftOut): void;
  find(groupId: string, name: EventName): Delivery | undefined;
  /** Whether every delivery since the start is remembered. */
  isWhole: () => boolean;
  /** Returns the last event of the group with a position, among the first `upTo` deliveries. */
  lastPositioned(groupId: string, upTo: number): Delivery | undefined;
  /**
   * Where a connection stands in a group that was there from the delivery `since` to the delivery `left`, once its client has read all up to `read`.
   * `unmoved`: nothing has come there in between; `unknown`: too much has, or an event without a position.
   */
  positionAt(groupId: string, numbers: { read: number; since: number; left: number }): Position | 'unmoved' | 'unknown';
  /** A connection that goes live now is sent the events of the group after `after`, up to `upTo`. */
  recovered(socketId: string, groupId: string, seqs: { epoch: string; after: number; upTo: number }): void;
  /** Returns the number from which on a connection has been sent this event, if it was one of those that it had missed. */
  recoveredAt(socketId: string, groupId: string, position: Position): number | undefined;
  /** The connection is gone. */
  forget(socketId: string): void;
  /** Calls `listener` with each delivery from now on. */
  follow(listener: (delivery: Delivery) => void): void;
  /** Calls `listener` with each delivery of the group, until the result is called. */
  watch(groupId: string, listener: (delivery: Delivery) => void): () => void;
}

/** Deliveries that are remembered: about 5 MB, and at a thousand a second half a minute, which is longer than a beat. */
const MAX_DELIVERIES = 32_768;
/** Most recoveries that are remembered, each of one connection in one group. Further ones are not, until some of these connections are gone. */
const MAX_RECOVERED = 50_000;

export function createDeliveries(
  marks: Marks,
  { max = MAX_DELIVERIES, now = Date.now }: { max?: number; now?: () => number } = {},
): Deliveries {
  const ring: Delivery[] = [];
  let next = 0;
  const lastOf = new Map<string, Delivery>();
  const recoveries = new Map<string, Map<string, Recovered>>();
  let recoveredGroups = 0;
  const watchers = new Map<string, Set<(delivery: Delivery) => void>>();
  const followers: ((delivery: Delivery) => void)[] = [];

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

  /** Finds the event, or the last one before it: what this node has not delivered costs no walk through everything. */
  function findNamed(groupId: string, name: EventName): Delivery | undefined {
    const found = find(groupId, (delivery) => isNamed(delivery, name) || isBefore(delivery, name));
    return found && isNamed(found, name) ? found : undefined;
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
      for (const listener of followers) listener(delivery);
      for (const listener of watchers.get(groupId) ?? []) listener(delivery);
    },
    find: findNamed,
    isWhole: () => ring.length < max,
    lastPositioned: (groupId, upTo) => find(groupId, ({ number, position }) => number <= upTo && position !== null),
    positionAt(groupId, { read: upTo, since, left }) {
      const read = Math.max(upTo, since);
      if (ring.length === max && read < oldest() - 1) return 'unknown';
      let unread: Position | undefined;
      for (let each = lastOf.get(groupId); each && each.number > since; each = each.before) {
        if (each.number > read && !each.position) return 'unknown';
        if (each.number <= read && each.position) return each.position;
        // Without members here, what came after it had left was not noticed.
        if (each.number > read && each.number <= left && each.position) unread = each.position;
      }
      return unread ? { epoch: unread.epoch, seq: unread.seq - 1 } : 'unmoved';
    },
    recovered(socketId, groupId, { epoch, after, upTo }) {
      const groups = recoveries.get(socketId) ?? new Map<string, Recovered>();
      const known = groups.get(groupId);
      if (!known && recoveredGroups >= MAX_RECOVERED) return;
      if (!known) recoveredGroups += 1;
      // The next page of what it had missed.
      const from = known?.epoch === epoch && known.upTo === after ? known.after : after;
      recoveries.set(socketId, groups.set(groupId, { epoch, after: from, upTo, number: marks.next() }));
    },
    recoveredAt(socketId, groupId, { epoch, seq }) {
      const known = recoveries.get(socketId)?.get(groupId);
      const isOfIt = known?.epoch === epoch && seq > known.after && seq <= known.upTo;
      return isOfIt ? known.number : undefined;
    },
    forget(socketId) {
      recoveredGroups -= recoveries.get(socketId)?.size ?? 0;
      recoveries.delete(socketId);
    },
    follow: (listener) => void followers.push(listener),
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
