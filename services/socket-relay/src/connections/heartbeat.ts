import type { RelaySocket } from '../relay-server.ts';

/** Fields of Engine.IO that have no public name. */
interface EngineInternals {
  readyState: string;
  protocol: number;
  pingIntervalTimer?: NodeJS.Timeout | null;
  pingTimeoutTimer?: NodeJS.Timeout | null;
  hasRefreshedPingTimeout: boolean;
  sendPacket(type: 'ping'): void;
  resetPingTimeout?(): void;
}

/** The wheel has so many slots, and connections are put into one after the other: a thousand that came at once are not pinged at once. */
const SLOTS = 100;

/** One timer for the pings of all connections, where Engine.IO has one for each. */
export interface Heartbeat {
  /** Takes over from the connection's own timer. */
  watch(socket: RelaySocket): void;
  stop(): void;
}

export function createHeartbeat({ intervalMs }: { intervalMs: number }): Heartbeat {
  const slots = Array.from({ length: SLOTS }, () => new Set<EngineInternals>());
  let current = 0;
  let next = 0;

  function ping(engine: EngineInternals): void {
    // It has not answered the last one yet, and the time for that runs.
    if (engine.pingTimeoutTimer) return;
    engine.hasRefreshedPingTimeout = false;
    engine.sendPacket('ping');
    engine.resetPingTimeout?.();
  }

  const timer = setInterval(() => {
    current = (current + 1) % SLOTS;
    const slot = slots[current];
    for (const engine of slot ?? []) {
      if (engine.readyState === 'closed') slot?.delete(engine);
      else ping(engine);
    }
  }, intervalMs / SLOTS);
  timer.unref();

  return {
    watch({ conn }) {
      const engine = conn as unknown as EngineInternals;
      if (engine.protocol !== 4 || !engine.pingIntervalTimer || !engine.resetPingTimeout) return;
      clearTimeout(engine.pingIntervalTimer);
      engine.pingIntervalTimer = null;
      next = (next + 1) % SLOTS;
      slots[next]?.add(engine);
    },
    stop() {
      clearInterval(timer);
    },
  };
}
