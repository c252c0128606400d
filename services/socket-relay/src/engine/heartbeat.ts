import type { Mark } from '../sessions/marks.ts';
import type { RelaySocket, SocketData, UserSession, UserSocket } from '../sessions/session.ts';
import { isRaw } from './raw-frames.ts';
import { type Engine, wireBehind } from './wire.ts';

/** Fields of Engine.IO that have no public name. */
interface EngineInternals extends Engine {
  pingIntervalTimer?: NodeJS.Timeout | null;
  pingTimeoutTimer?: NodeJS.Timeout | null;
  hasRefreshedPingTimeout: boolean;
  upgrading: boolean;
  sendPacket(type: 'ping'): void;
  resetPingTimeout?(): void;
  once(event: 'heartbeat' | 'upgrade', listener: () => void): void;
}

/** Slots of the wheel. Connections are put into one after the other, so that a thousand that came at once are not pinged at once. */
const SLOTS = 100;
/** How long after its pings the answers of a slot are looked at, in slots: a hundredth of the interval each. */
const LOOK_AFTER_SLOTS = 4;
/** Pings of the wheel after which an answer is certainly to the ping before it, where a transport was replaced while one was under way. */
const CERTAIN_AFTER_PINGS = 2;

/** A ping of Engine.IO in a WebSocket frame: an idle relay does little else than write this. */
const PING = Buffer.from([0x81, 1, 0x32]);

/**
 * One timer for the pings of all connections, where Engine.IO has one for each. A ping is written in order with everything else, and a client
 * answers it after it has read what came before; so each answer proves that everything up to a mark was read.
 */
export interface Heartbeat {
  /** The connection's handshake has begun. */
  expect(socket: RelaySocket): void;
  /** Takes over from the connection's own timer. */
  watch(socket: RelaySocket): void;
  /**
   * Calls `done` once the peer has read everything that was written to it so far, which its answer to a ping says; never if the connection
   * is closed first, or has no such pings.
   */
  prove(socket: RelaySocket, done: () => void): void;
  /** Returns a mark up to which the peer has read everything. It costs nothing to ask. */
  provenOf(socket: UserSocket): Mark;
  /** Returns for how long a ping has not been answered, in milliseconds; 0 if none is under way. */
  unansweredMs(socket: UserSocket): number;
  /** Calls `listener` with connections that have read more than when it was called last. There is one listener. */
  onProven(listener: (socket: UserSocket, before: Mark, proven: Mark) => void): void;
  stop(): void;
}

/** The session of a user's connection; back ends and monitors have no marks. */
function userSessionOf({ data }: RelaySocket): UserSession | undefined {
  const { session }: Partial<SocketData> = data;
  return session?.kind === 'user' ? session : undefined;
}

/** Those who wait for an answer to the ping that is under way, and for one to the ping after it. */
interface Asking {
  now: (() => void)[];
  next: (() => void)[];
}

export function createHeartbeat(
  { intervalMs, timeoutMs }: { intervalMs: number; timeoutMs: number },
  /** Returns a mark for what has been written to the connection. */
  handedUpTo: (socket: RelaySocket) => Mark,
  now: () => number = () => performance.now(),
): Heartbeat {
  const slots = Array.from({ length: SLOTS }, () => new Set<RelaySocket>());
  const slotMs = intervalMs / SLOTS;
  const startedAt = now();
  /** When the handshakes under way began. Socket.IO notes a time of day, which may be set. */
  const expected = new WeakMap<RelaySocket, number>();
  const asking = new WeakMap<EngineInternals, Asking>();
  /**
   * Connections whose transport was replaced while a ping may have been under way, with the pings since. Engine.IO forgets that ping then, and
   * its answer looks like one to the next ping.
   */
  const doubtful = new WeakMap<EngineInternals, number>();
  /** Connections on polling that were pinged, as long as it is not known that they have answered. */
  const pingedOnPolling = new WeakSet<EngineInternals>();
  let onProven: (socket: UserSocket, before: Mark, proven: Mark) => void = () => undefined;
  /** Slots that have been due since the start. */
  let turned = 0;
  let next = 0;

  const engineOf = ({ conn }: RelaySocket): EngineInternals => conn as unknown as EngineInternals;

  /** Notes what the answer to the last ping has proven, once it is there. */
  function settle(socket: RelaySocket): void {
    const engine = engineOf(socket);
    const session = userSessionOf(socket);
    if (!session || engine.pingTimeoutTimer || doubtful.has(engine)) return;
    pingedOnPolling.delete(engine);
    const { proven: before, pinged } = session;
    if (before === pinged) return;
    session.proven = pinged;
    if (pinged.upTo > before.upTo) onProven(socket as UserSocket, before, pinged);
  }

  /** Is called before a ping. */
  function note(socket: RelaySocket): void {
    settle(socket);
    const session = userSessionOf(socket);
    if (session) session.pinged = handedUpTo(socket);
  }

  function noteOnPolling(engine: EngineInternals): void {
    if (engine.transport.name === 'polling') pingedOnPolling.add(engine);
  }

  function ping(socket: RelaySocket): void {
    const engine = engineOf(socket);
    // It has not answered the last ping yet, and its time for that runs.
    if (engine.pingTimeoutTimer) return;
    note(socket);
    noteOnPolling(engine);
    engine.hasRefreshedPingTimeout = false;
    const wire = isRaw(engine) ? undefined : wireBehind(engine);
    if (wire?.writable && wire.writableLength === 0) wire.write(PING);
    else engine.sendPacket('ping');
    engine.resetPingTimeout?.();
  }

  function ask(socket: RelaySocket): void {
    const engine = engineOf(socket);
    settle(socket);
    noteOnPolling(engine);
    engine.hasRefreshedPingTimeout = false;
    // Through the engine, which writes what waits for the connection first.
    engine.sendPacket('ping');
    const session = userSessionOf(socket);
    if (session) session.pinged = handedUpTo(socket);
    engine.resetPingTimeout?.();
  }

  function onAnswer(socket: RelaySocket, engine: EngineInternals): void {
    settle(socket);
    const asked = asking.get(engine);
    if (!asked) return;
    if (asked.next.length === 0 || engine.readyState !== 'open') asking.delete(engine);
    else {
      asking.set(engine, { now: asked.next, next: [] });
      engine.once('heartbeat', () => onAnswer(socket, engine));
      ask(socket);
    }
    for (const done of asked.now) done();
  }

  function prove(socket: RelaySocket, done: () => void): void {
    const engine = engineOf(socket);
    if (engine.protocol !== 4 || engine.readyState !== 'open' || !engine.resetPingTimeout || doubtful.has(engine))
      return;
    const asked = asking.get(engine);
    if (asked) {
      // The answer to an earlier ping says nothing about what was written after it.
      asked.next.push(done);
      return;
    }
    if (engine.upgrading) {
      engine.once('upgrade', () => prove(socket, done));
      return;
    }
    const isUnderWay = Boolean(engine.pingTimeoutTimer);
    asking.set(engine, isUnderWay ? { now: [], next: [done] } : { now: [done], next: [] });
    engine.once('heartbeat', () => onAnswer(socket, engine));
    if (!isUnderWay) ask(socket);
  }

  /** The connection has got another transport. A mark does not say whether it was pinged: moments close to each other are one. */
  function upgraded(socket: RelaySocket): void {
    const engine = engineOf(socket);
    const session = userSessionOf(socket);
    if (!session || !pingedOnPolling.has(engine)) return;
    session.pinged = session.proven;
    doubtful.set(engine, 0);
  }

  function countPing(engine: EngineInternals): void {
    const pings = doubtful.get(engine);
    if (pings === undefined) return;
    if (pings >= CERTAIN_AFTER_PINGS) doubtful.delete(engine);
    else doubtful.set(engine, pings + 1);
  }

  function pingAll(slot: Set<RelaySocket> | undefined): void {
    for (const socket of slot ?? []) {
      const engine = engineOf(socket);
      if (engine.readyState === 'closed') slot?.delete(socket);
      else {
        if (!engine.pingTimeoutTimer) countPing(engine);
        ping(socket);
      }
    }
  }

  const timer = setInterval(() => {
    // It goes by the clock: a busy process runs its timers late, and the sum of a hundred delays is more than a peer waits.
    const due = Math.floor((now() - startedAt) / slotMs);
    turned = Math.max(turned, due - SLOTS);
    for (; turned < due; turned += 1) {
      pingAll(slots[turned % SLOTS]);
      for (const socket of slots[(turned + SLOTS - LOOK_AFTER_SLOTS) % SLOTS] ?? []) settle(socket);
    }
  }, slotMs);
  timer.unref();

  return {
    expect: (socket) => void expected.set(socket, now()),
    watch(socket) {
      const begunAt = expected.get(socket) ?? now();
      expected.delete(socket);
      const engine = engineOf(socket);
      const session = userSessionOf(socket);
      if (session) {
        const mark = handedUpTo(socket);
        session.pinged = mark;
        session.proven = mark;
      }
      if (engine.protocol !== 4 || !engine.pingIntervalTimer || !engine.resetPingTimeout) return;
      clearTimeout(engine.pingIntervalTimer);
      engine.pingIntervalTimer = null;
      if (engine.transport.name === 'polling') engine.once('upgrade', () => upgraded(socket));
      next = (next + 1) % SLOTS;
      slots[next]?.add(socket);
      // The peer's time for the first ping began before the handshake.
      if (now() - begunAt >= timeoutMs / 2) ping(socket);
    },
    prove,
    provenOf(socket) {
      const engine = engineOf(socket);
      const { pinged, proven } = socket.data.session;
      return engine.pingTimeoutTimer || doubtful.has(engine) ? proven : pinged;
    },
    unansweredMs(socket) {
      return engineOf(socket).pingTimeoutTimer ? now() - socket.data.session.pinged.at : 0;
    },
    onProven(listener) {
      onProven = listener;
    },
    stop() {
      clearInterval(timer);
    },
  };
}
