import type { RelaySocket } from '../sessions/session.ts';
import { isRaw } from './raw-frames.ts';
import { type Engine, wireBehind } from './wire.ts';

/** Fields of Engine.IO that have no public name. */
interface EngineInternals extends Engine {
  pingIntervalTimer?: NodeJS.Timeout | null;
  pingTimeoutTimer?: NodeJS.Timeout | null;
  hasRefreshedPingTimeout: boolean;
  sendPacket(type: 'ping'): void;
  resetPingTimeout?(): void;
  once(event: 'heartbeat', listener: () => void): void;
}

/** Slots of the wheel. Connections are put into one after the other, so that a thousand that came at once are not pinged at once. */
const SLOTS = 100;

/** A ping of Engine.IO in a WebSocket frame: an idle relay does little else than write this. */
const PING = Buffer.from([0x81, 1, 0x32]);

/** One timer for the pings of all connections, where Engine.IO has one for each. */
export interface Heartbeat {
  /** The connection's handshake has begun. */
  expect(socket: RelaySocket): void;
  /** Takes over from the connection's own timer. */
  watch(socket: RelaySocket): void;
  /**
   * Calls `done` once the peer has read everything that was written to it so far, which its answer to a ping says; never if the connection
   * is closed first, or has no such pings. One call at a time for each connection.
   */
  prove(socket: RelaySocket, done: () => void): void;
  stop(): void;
}

export function createHeartbeat(
  { intervalMs, timeoutMs }: { intervalMs: number; timeoutMs: number },
  now: () => number = () => performance.now(),
): Heartbeat {
  const slots = Array.from({ length: SLOTS }, () => new Set<EngineInternals>());
  const slotMs = intervalMs / SLOTS;
  const startedAt = now();
  /** When the handshakes under way began. Socket.IO notes a time of day, which may be set. */
  const expected = new WeakMap<RelaySocket, number>();
  /** Slots that have been due since the start. */
  let turned = 0;
  let next = 0;

  function ping(engine: EngineInternals): void {
    // It has not answered the last ping yet, and its time for that runs.
    if (engine.pingTimeoutTimer) return;
    engine.hasRefreshedPingTimeout = false;
    const wire = isRaw(engine) ? undefined : wireBehind(engine);
    if (wire?.writable && wire.writableLength === 0) wire.write(PING);
    else engine.sendPacket('ping');
    engine.resetPingTimeout?.();
  }

  function prove(engine: EngineInternals, done: () => void): void {
    if (engine.protocol !== 4 || engine.readyState !== 'open' || !engine.resetPingTimeout) return;
    // The answer to an earlier ping says nothing about what was written after it.
    if (engine.pingTimeoutTimer) {
      engine.once('heartbeat', () => prove(engine, done));
      return;
    }
    engine.once('heartbeat', done);
    engine.hasRefreshedPingTimeout = false;
    // Through the engine, which writes what waits for the connection first.
    engine.sendPacket('ping');
    engine.resetPingTimeout();
  }

  function pingAll(slot: Set<EngineInternals> | undefined): void {
    for (const engine of slot ?? []) {
      if (engine.readyState === 'closed') slot?.delete(engine);
      else ping(engine);
    }
  }

  const timer = setInterval(() => {
    // It goes by the clock: a busy process runs its timers late, and the sum of a hundred delays is more than a peer waits.
    const due = Math.floor((now() - startedAt) / slotMs);
    turned = Math.max(turned, due - SLOTS);
    for (; turned < due; turned += 1) pingAll(slots[turned % SLOTS]);
  }, slotMs);
  timer.unref();

  return {
    expect: (socket) => void expected.set(socket, now()),
    watch(socket) {
      const { conn } = socket;
      const begunAt = expected.get(socket) ?? now();
      expected.delete(socket);
      const engine = conn as unknown as EngineInternals;
      if (engine.protocol !== 4 || !engine.pingIntervalTimer || !engine.resetPingTimeout) return;
      clearTimeout(engine.pingIntervalTimer);
      engine.pingIntervalTimer = null;
      next = (next + 1) % SLOTS;
      slots[next]?.add(engine);
      // The peer's time for the first ping began before the handshake.
      if (now() - begunAt >= timeoutMs / 2) ping(engine);
    },
    prove: ({ conn }, done) => prove(conn as unknown as EngineInternals, done),
    stop() {
      clearInterval(timer);
    },
  };
}
