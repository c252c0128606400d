import type { GroupEvent, Position } from '@groupcast/shared';
import { compareGenerations } from '../base/positions.ts';

/**
 * What stands between a group and its newest known event. `none`: nothing. `gap`: events of its epoch are missing.
 * `epoch`: something of another epoch was seen, and only the API can say what it means. `unopened`: nobody has said yet
 * where the group stands.
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
 * Puts every group's events in order. No I/O, no time: what comes in, from wherever and however often, goes out once, by
 * `seq`, without holes. A number is passed over only on the word of the relay (`skip`) or of an authoritative page.
 * Methods return the events that are due now.
 */
export interface Inbox {
  /** Begins at `position`, where a snapshot was read; a group that has begun is left alone. */
  open: (groupId: string, position: Position) => GroupEvent[];
  /** One event, as it came over the socket. */
  receive: (event: GroupEvent) => GroupEvent[];
  /** The event at `position` is not for this user. */
  skip: (groupId: string, position: Position) => GroupEvent[];
  /** Somebody says how far the group has got. */
  head: (groupId: string, position: Position) => void;
  /** The answer to a question asked from `after`. An answer to a question from before a reset is ignored. */
  page: (groupId: string, after: Position, page: Omit<Page, 'more'>) => GroupEvent[];
  /** The API's word: the group was started over, and a snapshot will be read at `position` or later. */
  reset: (groupId: string, position: Position) => GroupEvent[];
  /** Nobody knows of what is missing: go on from where the group is. */
  settle: (groupId: string) => void;
  close: (groupId: string) => void;
  lagOf: (groupId: string) => Lag;
  positionOf: (groupId: string) => Position | null;
  /** Of every group that has begun. */
  positions: () => Record<string, Position>;
  /** Events that were dropped because they, or their successor, were here before. */
  readonly duplicates: number;
}

/** Most events kept back per group; beyond it catch-up brings them again. */
const MAX_HELD = 1_000;

interface Line {
  cursor: Position | null;
  /** The highest `seq` of the cursor's epoch that anybody has mentioned. */
  target: number;
  /** Above a gap, by `seq`; `null` is a place to step over. */
  held: Map<number, GroupEvent | null>;
  /** Of another epoch, or from before the group was opened. */
  pending: GroupEvent[];
  /** Something of another epoch was seen. */
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

  /** Where a place stands to the cursor: `next`, `above` or `below` it, or of `another` epoch. */
  function placeOf(line: Line, { epoch, seq }: Position): 'next' | 'above' | 'below' | 'another' {
    const { cursor } = line;
    if (!cursor) return 'another';
    if (epoch === cursor.epoch) return seq <= cursor.seq ? 'below' : seq === cursor.seq + 1 ? 'next' : 'above';
    return compareGenerations(epoch, cursor.epoch) < 0 ? 'below' : 'another';
  }

  function hold(line: Line, seq: number, event: GroupEvent | null): void {
    line.target = Math.max(line.target, seq);
    if (line.held.has(seq)) duplicates += 1;
    else if (line.held.size < MAX_HELD) line.held.set(seq, event);
  }

  /** Moves the cursor to `position` and on over what was held behind it. */
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

  function take(line: Line, event: GroupEvent): GroupEvent[] {
    const place = placeOf(line, event);
    switch (place) {
      case 'below':
        duplicates += 1;
        return [];
      case 'next':
        return [event, ...advance(line, { epoch: event.epoch, seq: event.seq })];
      case 'above':
        hold(line, event.seq, event);
        return [];
      case 'another':
        line.foreign = true;
        line.pending.push(event);
        // The newest are kept: they show that something is missing.
        if (line.pending.length > MAX_HELD) line.pending.shift();
        return [];
      default: {
        const unreachable: never = place;
        return unreachable;
      }
    }
  }

  function begin(line: Line, position: Position): GroupEvent[] {
    const waiting = line.pending.toSorted((a, b) => compareGenerations(a.epoch, b.epoch) || a.seq - b.seq);
    Object.assign(line, { cursor: position, target: position.seq, pending: [], foreign: false });
    line.held.clear();
    return waiting.flatMap((event) => take(line, event));
  }

  return {
    get duplicates() {
      return duplicates;
    },
    open(groupId, position) {
      const line = lineOf(groupId);
      return line.cursor ? [] : begin(line, position);
    },
    receive: (event) => take(lineOf(event.groupId), event),
    skip(groupId, position) {
      const line = lineOf(groupId);
      const place = placeOf(line, position);
      if (place === 'next') return advance(line, position);
      if (place === 'above') hold(line, position.seq, null);
      else if (place === 'another') line.foreign = true;
      return [];
    },
    head(groupId, position) {
      const line = lines.get(groupId);
      if (!line?.cursor) return;
      const place = placeOf(line, position);
      if (place === 'another') line.foreign = true;
      else if (place !== 'below') line.target = Math.max(line.target, position.seq);
    },
    page(groupId, after, { events, position }) {
      const line = lines.get(groupId);
      if (line?.cursor?.epoch !== after.epoch || line.cursor.seq < after.seq) return [];
      const start = line.cursor.seq;
      const fresh = events
        .filter((event) => event.epoch === after.epoch && event.seq > start && event.seq <= position.seq)
        .toSorted((a, b) => a.seq - b.seq)
        .filter((event, index, sorted) => event.seq !== sorted[index - 1]?.seq);
      if (position.epoch !== after.epoch || position.seq <= start) return [];
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
