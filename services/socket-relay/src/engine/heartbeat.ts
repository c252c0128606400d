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
/** Beats after which an answer is certainly to the last ping, where a transport was replaced while one was under way. */
const CERTAIN_AFTER_BEATS = 2;

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

interface Doubt {
  /** Pings of the wheel since: after a beat without others all answers have come. */
  beats: number;
  /** The mark of the ping before the last one. */
  before: Mark;
}

/** Those who wait for an answer to the ping that is under way, and for one to the ping after it. */
interface Asking {
  now: (() => void)[];
  next: (() => void)[];
  /** Set where an answer was doubtful, and was asked for once more. */
  isSecond?: true;
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
   * Connections whose transport was replaced while a ping may have been under way. Engine.IO forgets that ping then, and its answer looks like
   * one to the next ping, and so on: an answer certainly proves no more than the ping before the last one.
   */
  const doubtful = new WeakMap<EngineInternals, Doubt>();
  /** Connections on polling that were pinged, as long as it is not known that they have answered. */
  const pingedOnPolling = new WeakSet<EngineInternals>();
  let onProven: (socket: UserSocket, before: Mark, proven: Mark) => void = () => undefined;
  /** Slots that have been due since the start. */
  let turned = 0;
  let next = 0;

  const engineOf = ({ conn }: RelaySocket): EngineInternals => conn as unknown as EngineInternals;

  /** Returns the mark that the answer to the last ping proves; nothing while there is none, or the connection is closed. */
  function provenNow(engine: EngineInternals, session: UserSession): Mark | undefined {
    // A closed engine has forgotten whether a ping was under way.
    if (engine.pingTimeoutTimer || engine.readyState !== 'open') return undefined;
    return doubtful.get(engine)?.before ?? session.pinged;
  }

  /** Notes what the answer to the last ping has proven, once it is there. */
  function settle(socket: RelaySocket): void {
    const engine = engineOf(socket);
    const session = userSessionOf(socket);
    const mark = session && provenNow(engine, session);
    if (!session || !mark) return;
    pingedOnPolling.delete(engine);
    const { proven: before } = session;
    if (before === mark) return;
    session.proven = mark;
    if (mark.upTo > before.upTo) onProven(socket as UserSocket, before, mark);
  }

  /** A ping is written behind everything that `mark` covers. */
  function pinged(engine: EngineInternals, session: UserSession | undefined, mark: Mark): void {
    if (!session) return;
    const doubt = doubtful.get(engine);
    if (doubt) doubt.before = session.pinged;
    session.pinged = mark;
  }

  function noteOnPolling(engine: EngineInternals): void {
    if (engine.transport.name === 'polling') pingedOnPolling.add(engine);
  }

  function ping(socket: RelaySocket): void {
    const engine = engineOf(socket);
    // It has not answered the last ping yet, and its time for that runs.
    if (engine.pingTimeoutTimer) return;
    settle(socket);
    pinged(engine, userSessionOf(socket), handedUpTo(socket));
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
    pinged(engine, userSessionOf(socket), handedUpTo(socket));
    engine.resetPingTimeout?.();
  }

  /** Calls those who wait, after one more answer where this one was doubtful. */
  function onAnswer(socket: RelaySocket, engine: EngineInternals): void {
    settle(socket);
    const asked = asking.get(engine);
    if (!asked) return;
    asking.delete(engine);
    if (engine.readyState !== 'open') return;
    const isCertain = asked.isSecond || asked.now.length === 0 || !doubtful.has(engine);
    if (!isCertain) askFor(socket, { ...asked, isSecond: true });
    else if (asked.next.length > 0) askFor(socket, { now: asked.next, next: [] });
    if (isCertain) for (const done of asked.now) done();
  }

  /** Notes who waits, and pings unless that has to wait. */
  function askFor(socket: RelaySocket, asked: Asking, isPingUnderWay = false): void {
    const engine = engineOf(socket);
    asking.set(engine, asked);
    engine.once('heartbeat', () => onAnswer(socket, engine));
    if (!isPingUnderWay) ask(socket);
  }

  function prove(socket: RelaySocket, done: () => void): void {
    const engine = engineOf(socket);
    if (engine.protocol !== 4 || engine.readyState !== 'open' || !engine.resetPingTimeout) return;
    const asked = asking.get(engine);
    // The answer to an earlier ping says nothing about what was written after it.
    if (asked) asked.next.push(done);
    // A ping may be lost in an upgrade: it is asked after that, or with the next beat if the upgrade fails.
    else if (engine.pingTimeoutTimer || engine.upgrading) askFor(socket, { now: [], next: [done] }, true);
    else askFor(socket, { now: [done], next: [] });
  }

  /** The connection has got another transport. A mark does not say whether it was pinged: moments close to each other are one. */
  function upgraded(socket: RelaySocket): void {
    const engine = engineOf(socket);
    const session = userSessionOf(socket);
    if (session && pingedOnPolling.has(engine)) {
      doubtful.set(engine, { beats: 0, before: session.proven });
      session.pinged = session.proven;
    }
    // Those who wait are asked now: the ping that they waited for was forgotten, or was not sent yet.
    if (asking.has(engine)) ping(socket);
  }

  function countBeat(engine: EngineInternals): void {
    const doubt = doubtful.get(engine);
    if (!doubt) return;
    if (doubt.beats >= CERTAIN_AFTER_BEATS) doubtful.delete(engine);
    else doubt.beats += 1;
  }

  function pingAll(slot: Set<RelaySocket> | undefined): void {
    for (const socket of slot ?? []) {
      const engine = engineOf(socket);
      if (engine.readyState === 'closed') slot?.delete(socket);
      else {
        if (!engine.pingTimeoutTimer) countBeat(engine);
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
      const { session } = socket.data;
      return provenNow(engine, session) ?? session.proven;
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
