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
  /** The positions of every group that has begun. */
  positions: () => Record<string, Position>;
  /** Number of events that were dropped because they, or their successor, were here before. */
  readonly duplicates: number;
}

/** Most events that are held per group; catch-up brings the others again. */
const MAX_HELD = 1_000;

interface Line {
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
  const lines = new Map<string, Line>();
  let duplicates = 0;

  function lineOf(groupId: string): Line {
    const known = lines.get(groupId);
    if (known) return known;
    const line: Line = { cursor: null, target: 0, held: new Map(), pending: [], foreign: false };
    lines.set(groupId, line);
    return line;
  }

  /** To a group that has not begun every position is `newer`: it is not known yet what is missing before it. */
  function relationTo({ cursor }: Line, position: Position): PositionRelation {
    return cursor ? relationOf(cursor, position) : 'newer';
  }

  function hold(line: Line, seq: number, event: GroupEvent | null): void {
    line.target = Math.max(line.target, seq);
    if (line.held.has(seq)) duplicates += 1;
    else if (line.held.size < MAX_HELD) line.held.set(seq, event);
  }

  /** Moves the cursor to `position`, and on over the held events that follow directly. */
  function advance(line: Line, position: Position): GroupEvent[] {
    const due: GroupEvent[] = [];
    let { seq } = position;
    for (const place of line.held.keys()) if (place <= seq) line.held.delete(place);
    for (let next = line.held.get(seq + 1); next !== undefined; next = line.held.get(seq + 1)) {
      seq += 1;
      line.held.delete(seq);
      if (next) due.push(next);
    }
    line.cursor = { epoch: position.epoch, seq };
    line.target = Math.max(line.target, seq);
    return due;
  }

  /** Takes the event at `position`, or `null` where it is not for this user. */
  function take(line: Line, position: Position, event: GroupEvent | null): GroupEvent[] {
    const relation = relationTo(line, position);
    switch (relation) {
      case 'behind':
      case 'older':
        if (event) duplicates += 1;
        return [];
      case 'next': {
        const due = advance(line, position);
        return event ? [event, ...due] : due;
      }
      case 'ahead':
        hold(line, position.seq, event);
        return [];
      case 'newer':
        line.foreign = true;
        if (event) line.pending.push(event);
        // The newest events are kept: they show that others are missing.
        if (line.pending.length > MAX_HELD) line.pending.shift();
        return [];
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  /** The group has got to `position`, so that there is something to ask for. */
  function mention(line: Line, position: Position): void {
    const relation = relationTo(line, position);
    switch (relation) {
      case 'behind':
      case 'older':
        return;
      case 'next':
      case 'ahead':
        line.target = Math.max(line.target, position.seq);
        return;
      case 'newer':
        line.foreign = true;
        return;
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  function begin(line: Line, position: Position): GroupEvent[] {
    const waiting = line.pending.toSorted((a, b) => (isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0));
    Object.assign(line, { cursor: position, target: position.seq, pending: [], foreign: false });
    line.held.clear();
    return waiting.flatMap((event) => take(line, event, event));
  }

  return {
    get duplicates() {
      return duplicates;
    },
    open(groupId, position) {
      const line = lineOf(groupId);
      return line.cursor ? [] : begin(line, position);
    },
    receive: (event) => take(lineOf(event.groupId), event, event),
    skip: (groupId, position) => take(lineOf(groupId), position, null),
    head(groupId, position) {
      const line = lines.get(groupId);
      if (line?.cursor) mention(line, position);
    },
    page(groupId, after, { events, position }) {
      const line = lines.get(groupId);
      const cursor = line?.cursor;
      // The answer joins on only where the cursor is at the position that was asked from, or further.
      if (!line || !cursor || relationOf(cursor, after) !== 'behind' || !isAfter(position, cursor)) return [];
      const fresh = events
        .filter((event) => isAfter(event, cursor) && relationOf(position, event) === 'behind')
        .toSorted((a, b) => a.seq - b.seq)
        .filter((event, index, sorted) => event.seq !== sorted[index - 1]?.seq);
      return [...fresh, ...advance(line, position)];
    },
    reset: (groupId, position) => begin(lineOf(groupId), position),
    settle(groupId) {
      const line = lines.get(groupId);
      if (!line?.cursor) return;
      Object.assign(line, { target: line.cursor.seq, pending: [], foreign: false });
      line.held.clear();
    },
    close: (groupId) => void lines.delete(groupId),
    lagOf(groupId) {
      const line = lines.get(groupId);
      if (!line?.cursor) return 'unopened';
      if (line.foreign) return 'epoch';
      return line.target > line.cursor.seq ? 'gap' : 'none';
    },
    positionOf: (groupId) => lines.get(groupId)?.cursor ?? null,
    positions() {
      const opened: Record<string, Position> = {};
      for (const [groupId, { cursor }] of lines) if (cursor) opened[groupId] = cursor;
      return opened;
    },
  };
}
