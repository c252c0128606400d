import { setTimeout as pause } from 'node:timers/promises';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { RetentionStore } from './retention-store.ts';

/**
 * Removes history that is older than it is kept, and what is kept of copies and has ended: hourly, in small steps, with pauses between
 * them that are longer than the steps. Positions stay, and members who ask for what is gone are told to reload. Several processes may do so at once; each step is under its group's lock.
 */
export interface Retention {
  start(): void;
  /** Goes through all groups once. Resolves to the number of events that were removed. */
  run(): Promise<number>;
  stop(): Promise<void>;
}

/** Time between two rounds, in milliseconds. The first one begins somewhere in the first tenth of it, so that processes take turns. */
const ROUND_MS = 3_600_000;
/** Pause after a step, as a multiple of the time that it took, and the longest one, in milliseconds. */
const PAUSE_FACTOR = 9;
const MAX_PAUSE_MS = 10_000;
/** Fewest removed events for which the embedded database is told to use their room again. */
const WORTH_A_VACUUM = 1_000;

export function createRetention(
  deps: { store: RetentionStore; metrics: Pick<ApiMetrics, 'historyRemoved'>; log: Logger },
  options: { days: number | undefined; roundMs?: number },
): Retention {
  const { store, metrics, log } = deps;
  const { days, roundMs = ROUND_MS } = options;
  const warn = warnOnceEvery(60_000);
  const stopped = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<unknown> = Promise.resolve();
  let unvacuumed = 0;

  /** Does one step, and then nothing for longer than it took. */
  async function paced<T>(step: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await step();
    const pauseMs = Math.min(MAX_PAUSE_MS, (performance.now() - startedAt) * PAUSE_FACTOR);
    await pause(pauseMs, undefined, { signal: stopped.signal }).catch(() => undefined);
    return result;
  }

  async function run(): Promise<number> {
    let removed = 0;
    for (let after: string | undefined = ''; after !== undefined && !stopped.signal.aborted; ) {
      const from: string = after;
      const { groups, last } = await paced(async () => store.findExpired(from, days));
      for (const group of groups) {
        for (let step = 1; step > 0 && !stopped.signal.aborted; ) {
          step = await paced(async () => store.removeStep(group));
          metrics.historyRemoved.inc(step);
          removed += step;
        }
      }
      after = last;
    }
    await paced(async () => store.removeCopies());
    unvacuumed += removed;
    if (unvacuumed >= WORTH_A_VACUUM && !stopped.signal.aborted) {
      await store.vacuum();
      unvacuumed = 0;
    }
    if (removed > 0) log.info({ events: removed, days }, 'history that has expired was removed');
    return removed;
  }

  function plan(delayMs: number): void {
    timer = setTimeout(() => {
      round = run()
        .catch((error: unknown) =>
          warn('round', (suppressed) =>
            log.warn({ ...describeFailure(error), suppressed }, 'unable to remove expired history; trying again'),
          ),
        )
        .finally(() => {
          if (!stopped.signal.aborted) plan(roundMs);
        });
    }, delayMs).unref();
  }

  return {
    start: () => plan((Math.random() * roundMs) / 10),
    run,
    async stop() {
      stopped.abort();
      clearTimeout(timer);
      await round;
    },
  };
}
