import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { Counter } from 'prom-client';
import type { RelayMetrics } from '../metrics.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { SlowConsumers } from '../slow-consumers/slow-consumers.ts';
import { Outlet, type Payment } from './connection-writer.ts';
import { type Audience, divide, type Sending } from './divide.ts';
import { type EncodedEvent, encodeEvent } from './encoded-event.ts';
import type { Exceptions, Sender } from './sender.ts';

/** Connections are paid for so long before everything else that waits in the process has its turn, in milliseconds. */
const SLICE_MS = 8;
/** So many writes of one sweep, then the next sweep's: a small group does not wait for a large one. */
const STEP = 32;

interface Sweep {
  outlets: readonly Outlet[];
  next: number;
  /** When the turn ended that it is for. */
  since: number;
}

/**
 * One encode per event, one frame, and one write per connection and turn of the event loop, however many events came for it
 * and from however many groups.
 *
 * `send` only notes who gets what. When the turn has ended the notes are divided into what each connection is owed, and a sweep
 * pays one after the other. Whatever else is written to a connection first has it paid, so nothing is ever overtaken. What comes
 * while a sweep is under way is added to what is owed: the busier the relay, the more goes out with one write.
 */
export function createGatheringSender(
  io: RelayServer,
  deps: {
    /** Told after a direct write. */
    slowConsumers: Pick<SlowConsumers, 'wroteDirectly'>;
    metrics: RelayMetrics;
    log: Logger;
  },
  now: () => number = () => performance.now(),
): Sender {
  const { adapter, sockets } = io.of('/');
  const outlets = new Map<string, Outlet>();
  const audiences = new Map<string, Audience>();
  let turn: Sending[] = [];
  let sweeps: Sweep[] = [];
  /** Whose step is next. */
  let at = 0;
  let sweeping: NodeJS.Immediate | undefined;
  const warn = warnOnceEvery(60_000);
  const paid: Record<Payment, number> = { direct: 0, queued: 0, stock: 0, gone: 0 };

  adapter.on('join-room', (room: string) => void audiences.delete(room));
  adapter.on('leave-room', (room: string, id: string) => {
    audiences.delete(room);
    // Everybody is in a room of their own, until they disconnect.
    if (room !== id) return;
    outlets.get(id)?.close();
    outlets.delete(id);
  });

  function outletOf(id: string): Outlet | undefined {
    const known = outlets.get(id);
    if (known) return known;
    const socket = sockets.get(id);
    if (!socket?.connected) return undefined;
    const outlet = new Outlet(socket);
    outlets.set(id, outlet);
    // Before each packet that Socket.IO or the engine itself writes.
    socket.conn.on('packetCreate', () => {
      endTurn();
      if (outlet.owed) pay(outlet);
      outlet.disturb();
    });
    return outlet;
  }

  function audienceOf(room: string): Audience {
    const known = audiences.get(room);
    if (known) return known;
    const audience: Outlet[] = [];
    for (const id of adapter.rooms.get(room) ?? []) {
      const outlet = outletOf(id);
      if (outlet) audience.push(outlet);
    }
    audiences.set(room, audience);
    return audience;
  }

  /** Returns how many writes it was. One connection that cannot be written to is closed, and holds up nobody else. */
  function pay(outlet: Outlet): number {
    const { owed } = outlet;
    try {
      const payment = outlet.pay();
      paid[payment] += 1;
      if (payment === 'direct') deps.slowConsumers.wroteDirectly(outlet.socket, outlet.waitingBytes);
      return payment === 'stock' && owed ? owed.events.length : 1;
    } catch (error) {
      warn('write', (suppressed) => {
        deps.log.error(
          { err: error, socketId: outlet.socket.id, suppressed },
          'unable to write to a connection; it is closed',
        );
      });
      outlet.abandon();
      return 1;
    }
  }

  function endTurn(): void {
    if (turn.length === 0) return;
    const ended = turn;
    turn = [];
    const since = now();
    for (const indebted of divide(ended)) sweeps.push({ outlets: indebted, next: 0, since });
  }

  function step(sweep: Sweep): void {
    const { outlets: all } = sweep;
    for (let writes = 0; writes < STEP && sweep.next < all.length; sweep.next += 1) {
      const outlet = all[sweep.next];
      writes += outlet?.owed ? pay(outlet) : 1;
    }
  }

  function sweepOn(): void {
    sweeping = undefined;
    endTurn();
    const until = now() + SLICE_MS;
    do {
      const sweep = sweeps[at];
      if (sweep) {
        step(sweep);
        at += 1;
      } else {
        sweeps = sweeps.filter(({ outlets: all, next }) => next < all.length);
        at = 0;
      }
    } while (sweeps.length > 0 && now() < until);
    if (sweeps.length > 0) sweepSoon();
  }

  function sweepSoon(): void {
    sweeping ??= setImmediate(sweepOn);
  }

  const writes = new Counter({
    name: 'groupcast_relay_fan_out_writes_total',
    help: 'Writes to connections: direct to the socket, queued in the engine as one, or by the stock path; gone: the connection went first',
    labelNames: ['path'],
    registers: [deps.metrics.registry],
    collect() {
      writes.reset();
      for (const [path, count] of Object.entries(paid)) writes.inc({ path }, count);
    },
  });

  function replacements({ socketIds, instead }: Exceptions): Map<Outlet, EncodedEvent | undefined> {
    const encoded = instead && encodeEvent(instead);
    const replaced = new Map<Outlet, EncodedEvent | undefined>();
    for (const id of socketIds) {
      const outlet = outletOf(id);
      if (outlet) replaced.set(outlet, encoded);
    }
    return replaced;
  }

  return {
    send(room, event, exceptions) {
      const audience = audienceOf(room);
      if (audience.length === 0) return;
      turn.push({ event: encodeEvent(event), audience, instead: exceptions && replacements(exceptions) });
      sweepSoon();
    },
    lagMs() {
      // They are in the order of their turns, and those that are done leave soon.
      const oldest = sweeps.find(({ outlets: all, next }) => next < all.length);
      return oldest ? now() - oldest.since : 0;
    },
  };
}
