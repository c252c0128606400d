import type { GroupEvent, Position } from '@groupcast/shared';
import { isAfter, isBefore, type PositionRelation, relationOf } from '@groupcast/shared/positions';

/**
 * How a group stands to its newest known event.
 *
 * - `none`: it has all events.
 * - `gap`: events of its epoch are missing.
 * - `epoch`: a position of another epoch was seen, and only the API can say what it means.
 * - `unopened`: it is not known yet where the group stands.
 */
export type Lag = 'none' | 'gap' | 'epoch' | 'unopened';

/** Everything after the position that was asked from, up to `position`. Events that were not for this user may be absent. */
export interface Page {
  events: readonly GroupEvent[];
  position: Position;
  /** There is more after `position`. */
  more: boolean;
}

/**
 * Puts every group's events in order, without I/O and without time. Events that come in from any source, and any number of times, go out
 * once, by `seq`, without holes. A number is passed over only where the relay (`skip`) or an authoritative page says so. Methods return
 * the events that are due now.
 */
export interface Inbox {
  /** Begins at `position`, where a snapshot was read; a group that has begun is left alone. */
  open: (groupId: string, position: Position) => GroupEvent[];
  /** One event, as it came over the socket. */
  receive: (event: GroupEvent) => GroupEvent[];
  /** The event at `position` is not for this user. */
  skip: (groupId: string, position: Position) => GroupEvent[];
  /** The group has got to `position`, as the relay or the API says. */
  head: (groupId: string, position: Position) => void;
  /** The answer to a question asked from `after`. An answer to a question from before a reset is ignored. */
  page: (groupId: string, after: Position, page: Omit<Page, 'more'>) => GroupEvent[];
  /** The API's word: the group was started over, and a snapshot will be read at `position` or later. */
  reset: (groupId: string, position: Position) => GroupEvent[];
  /** No source has the missing events: the group goes on from where it is. */
  settle: (groupId: string) => void;
  close: (groupId: string) => void;
  lagOf: (groupId: string) => Lag;
  positionOf: (groupId: string) => Position | null;
  /** The highest `seq` that was mentioned; `undefined` where the group has not begun. */
  headOf: (groupId: string) => number | undefined;
  /** The positions of every group that has begun. */
  positions: () => Record<string, Position>;
  /** Number of events that were dropped because they, or their successor, were here before. */
  readonly duplicates: number;
}

/** Most events that are held per group; catch-up brings the others again. */
const MAX_HELD = 1_000;

interface GroupQueue {
  cursor: Position | null;
  /** The highest known `seq` of the cursor's epoch. */
  target: number;
  /** Events above a gap, by `seq`; `null` is a number to pass over. */
  held: Map<number, GroupEvent | null>;
  /** Events of another epoch, or from before the group was opened. */
  pending: GroupEvent[];
  /** A position of another epoch was seen. */
  foreign: boolean;
}

export function createInbox(): Inbox {
  const queues = new Map<string, GroupQueue>();
  let duplicates = 0;

  function queueOf(groupId: string): GroupQueue {
    const known = queues.get(groupId);
    if (known) return known;
    const queue: GroupQueue = { cursor: null, target: 0, held: new Map(), pending: [], foreign: false };
    queues.set(groupId, queue);
    return queue;
  }

  /** To a group that has not begun every position is `newer`: it is not known yet what is missing before it. */
  function relationTo({ cursor }: GroupQueue, position: Position): PositionRelation {
    return cursor ? relationOf(cursor, position) : 'newer';
  }

  function hold(queue: GroupQueue, seq: number, event: GroupEvent | null): void {
    queue.target = Math.max(queue.target, seq);
    if (queue.held.has(seq)) duplicates += 1;
    else if (queue.held.size < MAX_HELD) queue.held.set(seq, event);
  }

  /** Moves the cursor to `position`, and on over the held events that follow directly. */
  function advance(queue: GroupQueue, position: Position): GroupEvent[] {
    const due: GroupEvent[] = [];
    let { seq } = position;
    for (const held of queue.held.keys()) if (held <= seq) queue.held.delete(held);
    for (let next = queue.held.get(seq + 1); next !== undefined; next = queue.held.get(seq + 1)) {
      seq += 1;
      queue.held.delete(seq);
      if (next) due.push(next);
    }
    queue.cursor = { epoch: position.epoch, seq };
    queue.target = Math.max(queue.target, seq);
    return due;
  }

  /** Takes the event at `position`, or `null` where it is not for this user. */
  function take(queue: GroupQueue, position: Position, event: GroupEvent | null): GroupEvent[] {
    const relation = relationTo(queue, position);
    switch (relation) {
      case 'behind':
      case 'older':
        if (event) duplicates += 1;
        return [];
      case 'next': {
        const due = advance(queue, position);
        return event ? [event, ...due] : due;
      }
      case 'ahead':
        hold(queue, position.seq, event);
        return [];
      case 'newer':
        queue.foreign = true;
        if (event) queue.pending.push(event);
        // The newest events are kept: they show that others are missing.
        if (queue.pending.length > MAX_HELD) queue.pending.shift();
        return [];
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  /** The group has got to `position`, so that there is something to ask for. */
  function mention(queue: GroupQueue, position: Position): void {
    const relation = relationTo(queue, position);
    switch (relation) {
      case 'behind':
      case 'older':
        return;
      case 'next':
      case 'ahead':
        queue.target = Math.max(queue.target, position.seq);
        return;
      case 'newer':
        queue.foreign = true;
        return;
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  function begin(queue: GroupQueue, position: Position): GroupEvent[] {
    const waiting = queue.pending.toSorted((a, b) => (isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0));
    Object.assign(queue, { cursor: position, target: position.seq, pending: [], foreign: false });
    queue.held.clear();
    return waiting.flatMap((event) => take(queue, event, event));
  }

  return {
    get duplicates() {
      return duplicates;
    },
    open(groupId, position) {
      const queue = queueOf(groupId);
      return queue.cursor ? [] : begin(queue, position);
    },
    receive: (event) => take(queueOf(event.groupId), event, event),
    skip: (groupId, position) => take(queueOf(groupId), position, null),
    head(groupId, position) {
      const queue = queues.get(groupId);
      if (queue?.cursor) mention(queue, position);
    },
    page(groupId, after, { events, position }) {
      const queue = queues.get(groupId);
      const cursor = queue?.cursor;
      // The answer joins on only where the cursor is at the position that was asked from, or further.
      if (!queue || !cursor || relationOf(cursor, after) !== 'behind' || !isAfter(position, cursor)) return [];
      const fresh = events
        .filter((event) => isAfter(event, cursor) && relationOf(position, event) === 'behind')
        .toSorted((a, b) => a.seq - b.seq)
        .filter((event, index, sorted) => event.seq !== sorted[index - 1]?.seq);
      return [...fresh, ...advance(queue, position)];
    },
    reset: (groupId, position) => begin(queueOf(groupId), position),
    settle(groupId) {
      const queue = queues.get(groupId);
      if (!queue?.cursor) return;
      Object.assign(queue, { target: queue.cursor.seq, pending: [], foreign: false });
      queue.held.clear();
    },
    close: (groupId) => void queues.delete(groupId),
    lagOf(groupId) {
      const queue = queues.get(groupId);
      if (!queue?.cursor) return 'unopened';
      if (queue.foreign) return 'epoch';
      return queue.target > queue.cursor.seq ? 'gap' : 'none';
    },
    positionOf: (groupId) => queues.get(groupId)?.cursor ?? null,
    headOf(groupId) {
      const queue = queues.get(groupId);
      return queue?.cursor ? queue.target : undefined;
    },
    positions() {
      const opened: Record<string, Position> = {};
      for (const [groupId, { cursor }] of queues) if (cursor) opened[groupId] = cursor;
      return opened;
    },
  };
}
