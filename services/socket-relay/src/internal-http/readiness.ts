import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Whether this process should be given work. */
export interface Readiness {
  /** The parts that fail; none: ready. */
  failing: () => string[];
  stop(): void;
}

/** Above this the process answers too late to be useful, in milliseconds. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000;

export function createReadiness(deps: {
  isDraining: () => boolean;
  /** What fails of that which this relay shares with others. */
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
