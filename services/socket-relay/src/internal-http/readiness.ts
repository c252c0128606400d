import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Knows whether this process should be given work. */
export interface Readiness {
  /** Returns the parts that fail; none: ready. */
  failing: () => string[];
  stop(): void;
}

/** Longest delay of the event loop, in milliseconds. Above it the process answers too late to be useful. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000;

export function createReadiness(deps: {
  isDraining: () => boolean;
  /** Returns the parts that fail of everything this relay shares with others. */
  failingCluster: () => string[];
}): Readiness {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  return {
    failing() {
      const late = delay.percentile(99) / 1e6 > MAX_EVENT_LOOP_DELAY_MS;
      delay.reset();
      return [...(deps.isDraining() ? ['draining'] : []), ...deps.failingCluster(), ...(late ? ['event-loop'] : [])];
    },
    stop: () => void delay.disable(),
  };
}
