import { monitorEventLoopDelay } from 'node:perf_hooks';
import { EVENT_LOOP_RESOLUTION_MS } from '@groupcast/service-kit';
import type { CanaryVerdict } from '../canary/judge-canary.ts';

export interface HealthReport {
  /** The parts without which it should be given no work; none: ready. */
  failing: string[];
  /** The parts that fail while the rest works. */
  degraded: string[];
}

/** Knows whether this process should be given work. */
export interface Readiness {
  /** Changes nothing: probes, scrapes and the monitor page ask as often as they like, and all hear the same. */
  report: () => HealthReport;
  stop(): void;
}

/** Longest delay of the event loop, in milliseconds. Above it, in one look of fifty, the process answers too late to be useful. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000;
/** One turn this long is too late by itself, however many short ones there were beside it. */
const MAX_TURN_MS = 5_000;
/** Delays count for once to twice as long, in milliseconds: what lies between two probes. */
const WINDOW_MS = 5_000;

/** Delays of the event loop since the last reset, in nanoseconds. */
interface Delays {
  percentile(percentile: number): number;
  readonly max: number;
  reset(): void;
  disable?(): unknown;
}

function watchDelays(): Delays {
  const delays = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
  delays.enable();
  return delays;
}

/** Knows whether the event loop was late within the last one or two windows. Two histograms begin anew in turn, and the older one is read. */
function createLateness(watch: () => Delays): { isLate: () => boolean; stop(): void } {
  let older = watch();
  let younger = watch();
  // A stall that ends with this tick is in both, or comes into both.
  const timer = setInterval(() => {
    older.reset();
    [older, younger] = [younger, older];
  }, WINDOW_MS).unref();
  return {
    isLate: () => older.percentile(98) / 1e6 > MAX_EVENT_LOOP_DELAY_MS || older.max / 1e6 > MAX_TURN_MS,
    stop() {
      clearInterval(timer);
      older.disable?.();
      younger.disable?.();
    },
  };
}

export function createReadiness(deps: {
  isDraining: () => boolean;
  /** Returns the parts that fail of everything this relay shares with others. */
  failingCluster: () => string[];
  /** Whether the back end has not answered lately. */
  isBackEndFailing: () => boolean;
  canary: () => CanaryVerdict;
  watchDelays?: () => Delays;
}): Readiness {
  const lateness = createLateness(deps.watchDelays ?? watchDelays);
  return {
    report() {
      const draining = deps.isDraining() ? ['draining'] : [];
      const canary = deps.canary();
      return {
        failing: [
          ...draining,
          ...deps.failingCluster(),
          ...(lateness.isLate() ? ['event-loop'] : []),
          ...(canary === 'fails-alone' ? ['canary'] : []),
        ],
        degraded: [
          ...(deps.isBackEndFailing() ? ['back-end'] : []),
          ...(canary === 'fails-everywhere' ? ['canary'] : []),
        ],
      };
    },
    stop: () => lateness.stop(),
  };
}
