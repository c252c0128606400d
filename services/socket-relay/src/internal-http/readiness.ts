import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { CanaryVerdict } from '../canary/judge-canary.ts';

export interface HealthReport {
  /** The parts without which it should be given no work; none: ready. */
  failing: string[];
  /** The parts that fail while the rest works. */
  degraded: string[];
}

/** Knows whether this process should be given work. */
export interface Readiness {
  report: () => HealthReport;
  stop(): void;
}

/** Longest delay of the event loop, in milliseconds. Above it the process answers too late to be useful. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000;

export function createReadiness(deps: {
  isDraining: () => boolean;
  /** Returns the parts that fail of everything this relay shares with others. */
  failingCluster: () => string[];
  /** Whether the back end has not answered lately. */
  isBackEndFailing: () => boolean;
  canary: () => CanaryVerdict;
}): Readiness {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  return {
    report() {
      const late = delay.percentile(99) / 1e6 > MAX_EVENT_LOOP_DELAY_MS;
      delay.reset();
      const draining = deps.isDraining() ? ['draining'] : [];
      const canary = deps.canary();
      return {
        failing: [
          ...draining,
          ...deps.failingCluster(),
          ...(late ? ['event-loop'] : []),
          ...(canary === 'fails-alone' ? ['canary'] : []),
        ],
        degraded: [
          ...(deps.isBackEndFailing() ? ['back-end'] : []),
          ...(canary === 'fails-everywhere' ? ['canary'] : []),
        ],
      };
    },
    stop: () => void delay.disable(),
  };
}
