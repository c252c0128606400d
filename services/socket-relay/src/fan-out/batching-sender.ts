import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { groupOfRoom } from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Notices } from '../monitor/notices.ts';
import type { Marks } from '../sessions/marks.ts';
import type { Offsets } from '../sessions/offsets.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { Voice } from '../sessions/voices.ts';
import type { SlowConsumers } from '../slow-consumers/slow-consumers.ts';
import { ConnectionWriter, type FlushPath } from './connection-writer.ts';
import { divide, type Sending } from './divide.ts';
import { dividedByVoice, type Part } from './parts.ts';
import type { Sender } from './sender.ts';
import { createSendings } from './sendings.ts';
import { createUnsaidEvents } from './unsaid-events.ts';

/** Longest slice: how long sweeps may write before they yield the event loop, in milliseconds. */
const SLICE_MS = 8;
/**
 * First slice of a burst, in milliseconds. The slice doubles each time nothing new has been sent meanwhile. Most publishers write each message
 * of a burst by itself, and the rest of it arrives while the first message is being written: the sooner it is read, the more connections get
 * all of it with one write.
 */
const FIRST_SLICE_MS = 0.1;
/** Longest wait of the oldest event while slices are short, in milliseconds: somebody who publishes without a pause must not keep them short. */
const GATHERING_MS = 2;
/** Writes per sweep before the next sweep's turn, so that a small group never waits behind a large one; a slice has at least as many. */
const STEP = 32;

/** The connections that one turn's events go to, in the order in which they are flushed. */
interface Sweep {
  writers: readonly ConnectionWriter[];
  next: number;
  /** When the turn ended, in milliseconds of the monotonic clock. */
  since: number;
}

/**
 * One encode and one frame per event and dialect, and one write per connection and turn of the event loop, however many events came for
 * it and from however many groups.
 *
 *     send(room, event) ──▶ turn: who gets what ──turn ends──▶ divide ──▶ pending, per connection ──▶ sweep: flush
 *
 * `send` only notes who gets what. When the turn has ended, `divide` makes each connection's pending batch, and a sweep flushes one
 * connection after the other. Anything else that is written to a connection flushes it first, so nothing is ever overtaken. Events
 * that come while a sweep is under way are added to what is pending: the busier the relay, the more leaves with one write.
 */
export function createBatchingSender(
  io: RelayServer,
  deps: {
    /** Is told after each direct write. */
    slowConsumers: Pick<SlowConsumers, 'wroteDirectly'>;
    metrics: RelayMetrics;
    notices: Notices;
    marks: Marks;
    offsets: Offsets;
    log: Logger;
  },
  now: () => number = () => performance.now(),
): Sender {
  const { adapter, sockets } = io.of('/');
  const writers = new Map<string, ConnectionWriter>();
  const rooms = new Map<string, readonly Part[]>();
  let turn: Sending<ConnectionWriter>[] = [];
  let sweeps: Sweep[] = [];
  /** Index of the sweep whose step is next. */
  let at = 0;
  let sweeping: NodeJS.Immediate | undefined;
  let sliceMs = FIRST_SLICE_MS;
  const warn = warnOnceEvery(60_000);
  const flushed: Record<FlushPath, number> = { direct: 0, queued: 0, stock: 0, gone: 0 };
  const encoded: Record<string, number> = {};
  const tellUnsaid = createUnsaidEvents(deps);
  const sendingsTo = createSendings({ of: writerOf, inRoom: writersIn }, encoded, deps);
  deps.metrics.watchWrites(() => flushed);
  deps.metrics.watchEncodings(() => encoded);

  adapter.on('join-room', (room: string) => void rooms.delete(room));
  adapter.on('leave-room', (room: string, id: string) => {
    rooms.delete(room);
    // Everybody is in a room of their own, until they disconnect.
    if (room !== id) return;
    writers.get(id)?.close();
    writers.delete(id);
  });

  function writerOf(id: string): ConnectionWriter | undefined {
    const known = writers.get(id);
    if (known) return known;
    const socket = sockets.get(id);
    if (!socket?.connected) return undefined;
    const writer = new ConnectionWriter(socket);
    writers.set(id, writer);
    // Before each packet that Socket.IO or the engine itself writes.
    socket.conn.on('packetCreate', () => {
      endTurn();
      if (writer.pending) flush(writer);
      writer.forgetWire();
    });
    return writer;
  }

  function partsOf(room: string): readonly Part[] {
    const known = rooms.get(room);
    if (known) return known;
    const parts = dividedByVoice(writersIn(room), groupOfRoom(room));
    rooms.set(room, parts);
    return parts;
  }

  function writersIn(room: string): ConnectionWriter[] {
    const found: ConnectionWriter[] = [];
    for (const id of adapter.rooms.get(room) ?? []) {
      const writer = writerOf(id);
      if (writer) found.push(writer);
    }
    return found;
  }

  /** Returns the number of writes. A connection that cannot be written to is closed, and holds up nobody else. */
  function flush(writer: ConnectionWriter): number {
    const { pending } = writer;
    try {
      const path = writer.flush();
      flushed[path] += 1;
      if (path === 'direct') deps.slowConsumers.wroteDirectly(writer.socket, writer.unsentBytes);
      return path === 'stock' && pending ? pending.events.length : 1;
    } catch (error) {
      warn('write', (suppressed) => {
        deps.log.error(
          { err: error, socketId: writer.socket.id, suppressed },
          'unable to write to a connection; it is closed',
        );
      });
      writer.terminate();
      return 1;
    }
  }

  function endTurn(): void {
    if (turn.length === 0) return;
    const ended = turn;
    turn = [];
    const since = now();
    for (const fresh of divide(ended)) sweeps.push({ writers: fresh, next: 0, since });
  }

  /** Returns the number of writes. A connection that was flushed meanwhile by somebody else counts as one. */
  function step(sweep: Sweep): number {
    const { writers: all } = sweep;
    let writes = 0;
    for (; writes < STEP && sweep.next < all.length; sweep.next += 1) {
      const writer = all[sweep.next];
      writes += writer?.pending ? flush(writer) : 1;
    }
    return writes;
  }

  function oldestUnfinished(): Sweep | undefined {
    // Sweeps are in the order of their turns, and those that are done leave soon.
    return sweeps.find(({ writers: all, next }) => next < all.length);
  }

  function lagAt(time: number): number {
    const oldest = oldestUnfinished();
    return oldest ? time - oldest.since : 0;
  }

  /** Lets go of sweeps that are done. One observation stands for those that end together, that of the one that took longest. */
  function endSweeps(): void {
    let since: number | undefined;
    sweeps = sweeps.filter((sweep) => {
      if (sweep.next < sweep.writers.length) return true;
      since ??= sweep.since;
      return false;
    });
    if (since !== undefined) deps.metrics.hopLag.observe({ hop: 'written' }, (now() - since) / 1_000);
  }

  function sliceAfter(isNews: boolean, time: number): number {
    if (lagAt(time) >= GATHERING_MS) return SLICE_MS;
    return isNews ? FIRST_SLICE_MS : Math.min(SLICE_MS, 2 * sliceMs);
  }

  function sweepOn(): void {
    sweeping = undefined;
    const startedAt = now();
    sliceMs = sliceAfter(turn.length > 0, startedAt);
    endTurn();
    const until = startedAt + sliceMs;
    // Otherwise short slices that each begin a new sweep would give turns to new sweeps only.
    const oldest = sliceMs < SLICE_MS && at > 0 ? oldestUnfinished() : undefined;
    let writes = oldest ? step(oldest) : 0;
    do {
      const sweep = sweeps[at];
      if (sweep) {
        writes += step(sweep);
        at += 1;
      } else {
        endSweeps();
        at = 0;
      }
    } while (sweeps.length > 0 && (writes < STEP || now() < until));
    if (sweeps.length > 0) sweepSoon();
  }

  function sweepSoon(): void {
    sweeping ??= setImmediate(sweepOn);
  }

  return {
    send(room, event, exceptions) {
      const parts = partsOf(room);
      if (parts.length === 0) return undefined;
      const unsaid: Part[] = [];
      let wordless: Set<Voice> | undefined;
      for (const part of parts) {
        const sendings = sendingsTo(part, event, exceptions);
        if (sendings) turn.push(...sendings);
        else unsaid.push(part);
        if (!sendings || sendings.length === 0) wordless = (wordless ?? new Set<Voice>()).add(part.voice);
      }
      if (unsaid.length > 0) tellUnsaid(room, event.name, unsaid, unsaid.length === parts.length);
      sweepSoon();
      return wordless;
    },
    dialectsIn: (room) => partsOf(room).map(({ voice }) => voice.dialect),
    forget: (room) => void rooms.delete(room),
    lagMs: () => lagAt(now()),
    handedUpTo({ id }) {
      const first = writers.get(id)?.pending?.events[0] ?? turn[0]?.event;
      return first ? deps.marks.until(first.before) : deps.marks.now();
    },
  };
}
