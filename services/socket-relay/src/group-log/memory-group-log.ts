import { type GroupEvent, generationOf, makeEpoch, type Position, relationOf, toWire } from '@groupcast/shared';
import { type AppendOutcome, type GroupLog, type LogInput, type LogPage, withoutWords } from './group-log.ts';

/** How much longer than the events head, floor and epoch are kept, in milliseconds. */
const STATE_TTL_MS = 30 * 24 * 3_600_000;
const SWEEP_INTERVAL_MS = 60_000;
/** Bytes of an entry beside its JSON: objects, map slots, the array cell. */
const ENTRY_OVERHEAD_BYTES = 300;
/** Bytes of a group beside its events: its state, its name, map slots. */
const GROUP_OVERHEAD_BYTES = 500;
/** Largest part of the memory for groups whose events are gone, of which only the position is known. */
const MAX_SHARE_WITHOUT_EVENTS = 1 / 4;
/** Part of those groups that is let go at once when there are too many, so that the oldest are looked for only now and then. */
const SLACK = 0.05;

interface Entry {
  event: GroupEvent;
  bytes: number;
  exceptUserId: string | undefined;
}

interface GroupState {
  epoch: string;
  /** Which side numbers the events: a publisher that sends positions, or the relay. */
  authority: 'publisher' | 'relay';
  head: number;
  /** `entries` holds `floor + 1 … head`, and nothing else. */
  floor: number;
  newsAfter: number;
  /** A ring: the first live entry is at `start`; the array is compacted now and then. */
  entries: (Entry | undefined)[];
  start: number;
  /** The numbers of the entries by id; `undefined` if there are no entries. */
  seqById: Map<string, number> | undefined;
  bytes: number;
  touchedAt: number;
  /** Its last event said that the group is over, or was brief: its position is kept no longer than its events. */
  isOver: boolean;
}

export interface MemoryGroupLogOptions {
  size: number;
  bytes: number;
  ttlMs: number;
  totalBytes: number;
  /** A clock that only goes forward, in milliseconds. */
  now?: () => number;
  /** The wall clock, in milliseconds: it tells epochs apart across restarts. */
  date?: () => number;
  random?: () => string;
}

function toEntry(event: GroupEvent, exceptUserId?: string): Entry {
  return { event, bytes: Buffer.byteLength(JSON.stringify(event)) + ENTRY_OVERHEAD_BYTES, exceptUserId };
}

/** A group log in the memory of one process. It is gone when the process ends, which is why positions, not the log, are the truth. */
export function createMemoryGroupLog(options: MemoryGroupLogOptions): GroupLog {
  const { now = () => performance.now(), date = Date.now } = options;
  const random = options.random ?? (() => crypto.randomUUID().replaceAll('-', '').slice(0, 12));
  const groups = new Map<string, GroupState>();
  /** Groups that hold events, in the order of their last append: the first one is let go first. */
  const holding = new Map<string, GroupState>();
  /** Groups that hold no events, in the order in which they lost them. */
  const empty = new Set<string>();
  let totalBytes = 0;
  let totalEvents = 0;
  let generation = 0;

  /** Returns seconds: an epoch that is opened after a restart replaces the one before it, and a later epoch is never below an earlier one. */
  function nextGeneration(): number {
    generation = Math.max(generation, Math.floor(date() / 1_000));
    return generation;
  }

  function admit(groupId: string, state: GroupState): void {
    if (!groups.has(groupId)) totalBytes += GROUP_OVERHEAD_BYTES;
    groups.set(groupId, state);
  }

  function forget(groupId: string): void {
    const state = groups.get(groupId);
    if (!state) return;
    clear(state);
    groups.delete(groupId);
    holding.delete(groupId);
    empty.delete(groupId);
    totalBytes -= GROUP_OVERHEAD_BYTES;
  }

  /** Puts the group among those that hold events, or among those that hold none. */
  function sort(groupId: string, state: GroupState): void {
    if (state.entries.length > 0) {
      empty.delete(groupId);
      return;
    }
    holding.delete(groupId);
    state.seqById = undefined;
    empty.add(groupId);
  }

  function open(epoch: string, authority: GroupState['authority'], floor: number): GroupState {
    return {
      epoch,
      authority,
      head: floor,
      floor,
      newsAfter: floor,
      entries: [],
      start: 0,
      seqById: undefined,
      bytes: 0,
      touchedAt: now(),
      isOver: false,
    };
  }

  function dropOldest(state: GroupState): void {
    const entry = state.entries[state.start];
    if (!entry) return;
    // A dropped entry is let go at once; its slot goes with the next compaction.
    state.entries[state.start] = undefined;
    state.start += 1;
    state.floor += 1;
    if (state.seqById?.get(entry.event.id) === entry.event.seq) state.seqById.delete(entry.event.id);
    state.bytes -= entry.bytes;
    totalBytes -= entry.bytes;
    totalEvents -= 1;
    if (state.start === state.entries.length) {
      state.entries = [];
      state.start = 0;
    }
    // Half of the array is dead: copy the rest, so that a drop costs a constant on average.
    if (state.start > 32 && state.start * 2 > state.entries.length) {
      state.entries = state.entries.slice(state.start);
      state.start = 0;
    }
  }

  function clear(state: GroupState): void {
    totalBytes -= state.bytes;
    totalEvents -= state.entries.length - state.start;
    Object.assign(state, { floor: state.head, entries: [], start: 0, seqById: undefined, bytes: 0 });
  }

  /** Forgets groups without events. The publisher of a forgotten group begins anew with any position, or the relay with an epoch above the last. */
  function forgetEmpty(until: () => boolean): void {
    for (const groupId of empty) {
      if (until()) return;
      forget(groupId);
    }
  }

  /** Keeps to `HISTORY_TOTAL_BYTES`: the groups that were quiet longest lose their oldest events first. */
  function enforceTotal(): void {
    const share = (options.totalBytes * MAX_SHARE_WITHOUT_EVENTS) / GROUP_OVERHEAD_BYTES;
    if (empty.size > share) forgetEmpty(() => empty.size <= share * (1 - SLACK));
    if (totalBytes <= options.totalBytes) return;
    for (const [groupId, state] of holding) {
      while (totalBytes > options.totalBytes && state.entries.length > 0) dropOldest(state);
      sort(groupId, state);
      if (totalBytes <= options.totalBytes) return;
    }
    forgetEmpty(() => totalBytes <= options.totalBytes);
  }

  function expire(state: GroupState): void {
    if (now() - state.touchedAt > options.ttlMs && state.bytes > 0) clear(state);
  }

  function find(groupId: string): GroupState | undefined {
    const state = groups.get(groupId);
    if (state) expire(state);
    return state;
  }

  function sweep(): void {
    for (const [groupId, state] of groups) {
      expire(state);
      sort(groupId, state);
      const ttlMs = options.ttlMs + (state.isOver ? 0 : STATE_TTL_MS);
      if (now() - state.touchedAt > ttlMs) forget(groupId);
    }
  }

  function keep(state: GroupState, input: LogInput): AppendOutcome {
    const position = { epoch: state.epoch, seq: state.head + 1 };
    const event = toWire(input.groupId, input.id, position, input.message) as GroupEvent;
    event.event = input.event;
    const entry = toEntry(event, input.exceptUserId);
    state.head = position.seq;
    state.entries.push(entry);
    state.seqById ??= new Map();
    state.seqById.set(input.id, position.seq);
    state.bytes += entry.bytes;
    totalBytes += entry.bytes;
    totalEvents += 1;
    state.touchedAt = now();
    state.isOver = input.event === 'group-deleted' || input.isBrief === true;
    admit(input.groupId, state);
    empty.delete(input.groupId);
    holding.delete(input.groupId);
    holding.set(input.groupId, state);
    if (input.event === 'message-deleted') erase(state, input.message['messageId']);
    const size = input.isBrief ? 1 : options.size;
    while (state.entries.length - state.start > size || state.bytes > options.bytes) dropOldest(state);
    if (state.entries.length === 0) sort(input.groupId, state);
    enforceTotal();
    return { outcome: 'appended', position };
  }

  function appendPositioned(state: GroupState | undefined, input: LogInput, position: Position): AppendOutcome {
    const { epoch, seq } = position;
    if (!state || generationOf(epoch) > generationOf(state.epoch)) {
      if (state) clear(state);
      return keep(open(epoch, 'publisher', seq - 1), input);
    }
    const head = { epoch: state.epoch, seq: state.head };
    if (state.authority !== 'publisher') return { outcome: 'conflict', head };
    const relation = relationOf(head, position);
    switch (relation) {
      case 'older':
      case 'newer':
        return { outcome: 'conflict', head };
      case 'ahead':
        return { outcome: 'gap', head };
      case 'next':
        return keep(state, input);
      case 'behind': {
        // An event that the log still holds is compared; below the floor the position alone makes it a duplicate.
        const held = seq > state.floor ? state.entries[state.start + seq - state.floor - 1] : undefined;
        if (held && held.event.id !== input.id) return { outcome: 'conflict', head };
        return { outcome: 'duplicate', position, head };
      }
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  function appendAssigned(known: GroupState | undefined, input: LogInput): AppendOutcome {
    const state = known ?? open(makeEpoch(nextGeneration(), random()), 'relay', 0);
    const seq = state.seqById?.get(input.id);
    if (seq !== undefined) {
      const head = { epoch: state.epoch, seq: state.head };
      return { outcome: 'duplicate', position: { epoch: state.epoch, seq }, head };
    }
    return state.authority === 'publisher' ? { outcome: 'unpositioned' } : keep(state, input);
  }

  /** A deleted message keeps its position in the log, and loses its content. */
  function erase(state: GroupState, messageId: unknown): void {
    for (const [index, entry] of state.entries.entries()) {
      if (!entry) continue;
      const { event } = entry;
      const isMessage = event.event === 'new-message' && event.id === messageId;
      if (isMessage || (event.event === 'message-updated' && event['messageId'] === messageId)) {
        state.entries[index] = { ...entry, event: withoutWords(event) };
      }
    }
  }

  const timer = setInterval(sweep, SWEEP_INTERVAL_MS);
  timer.unref();

  return {
    async append(input) {
      const state = find(input.groupId);
      return input.position ? appendPositioned(state, input, input.position) : appendAssigned(state, input);
    },
    async head(groupId) {
      const state = find(groupId);
      return state ? { epoch: state.epoch, seq: state.head } : null;
    },
    async read(groupId, afterSeq, limit, forUserId): Promise<LogPage> {
      const state = find(groupId);
      const exceptUserIds = new Map<number, string>();
      if (!state) {
        return { head: null, floor: 0, newsAfter: 0, events: [], exceptUserIds, lastSeq: afterSeq, more: false };
      }
      const from = state.start + Math.max(0, afterSeq - state.floor);
      const entries = state.entries.slice(from, from + limit).filter((entry) => entry !== undefined);
      const lastSeq = entries.at(-1)?.event.seq ?? Math.max(afterSeq, state.floor);
      const visible = entries.filter(({ exceptUserId }) => exceptUserId === undefined || exceptUserId !== forUserId);
      for (const { event, exceptUserId } of visible) {
        if (exceptUserId !== undefined) exceptUserIds.set(event.seq, exceptUserId);
      }
      const events = visible.map(({ event }) => event);
      const head = { epoch: state.epoch, seq: state.head };
      const { floor, newsAfter } = state;
      return { head, floor, newsAfter, events, exceptUserIds, lastSeq, more: lastSeq < state.head };
    },
    async backfill(groupId, position, events) {
      const known = find(groupId);
      if (known && (known.epoch !== position.epoch || known.authority !== 'publisher')) return;
      const state = known ?? open(position.epoch, 'publisher', position.seq);
      admit(groupId, state);
      const room = { events: options.size - (state.entries.length - state.start), bytes: options.bytes - state.bytes };
      const older: Entry[] = [];
      for (const event of events.toReversed()) {
        if (event.seq > state.floor) continue;
        const entry = toEntry(event);
        room.events -= 1;
        room.bytes -= entry.bytes;
        if (event.seq !== state.floor - older.length || room.events < 0 || room.bytes < 0) break;
        older.push(entry);
      }
      state.entries = [...older.toReversed(), ...state.entries.slice(state.start)];
      state.start = 0;
      state.floor -= older.length;
      if (state.entries.length > 0 && !holding.has(groupId)) holding.set(groupId, state);
      sort(groupId, state);
      if (older.length > 0) state.seqById ??= new Map();
      for (const { event, bytes } of older) {
        state.seqById?.set(event.id, event.seq);
        state.bytes += bytes;
        totalBytes += bytes;
        totalEvents += 1;
      }
      if (older.length > 0) state.touchedAt = now();
      // A fill that was read before a message was deleted must not bring its content back.
      for (const entry of state.entries) {
        if (entry?.event.event === 'message-deleted') erase(state, entry.event['messageId']);
      }
      enforceTotal();
    },
    stats: () => ({ groups: groups.size, events: totalEvents, bytes: totalBytes }),
    async close() {
      clearInterval(timer);
      groups.clear();
      holding.clear();
      empty.clear();
    },
  };
}
