import { backoffMs } from '../base/backoff.ts';
import { type Clock, MAX_DELAY_MS } from '../environment.ts';
import type { ClientError } from '../errors.ts';

export interface PollingDeps {
  /** Milliseconds without a connection before the first poll. */
  afterMs: number;
  intervalMs: number;
  /** Asks the API for news; resolves with what went wrong, if anything did. Never rejects. */
  poll: () => Promise<ClientError | null>;
  onOutcome: (answered: boolean) => void;
  clock: Clock;
  random: () => number;
}

/** Asks the API at an interval while there is no connection; ever more seldom while it does not answer, or as it wishes. */
export interface Polling {
  /** Does nothing where it has started already. The first poll is after `afterMs`, or the milliseconds given. */
  start: (firstAfterMs?: number) => void;
  stop: () => void;
}

/** Longest time between two polls that fail, in milliseconds. */
const MAX_INTERVAL_MS = 60_000;

export function createPolling(deps: PollingDeps): Polling {
  const { clock } = deps;
  let timer: unknown;
  let run: { failures: number } | undefined;

  function plan(mine: { failures: number }, delayMs: number): void {
    timer = clock.setTimeout(() => void once(mine), Math.min(delayMs, MAX_DELAY_MS));
  }

  async function once(mine: { failures: number }): Promise<void> {
    const error = await deps.poll();
    if (run !== mine) return;
    deps.onOutcome(error === null);
    mine.failures = error ? mine.failures + 1 : 0;
    // A crowd that lost its relay in the same moment does not ask in the same moment.
    const jitterMs = deps.intervalMs * (0.75 + deps.random() / 2);
    if (!error) return plan(mine, jitterMs);
    const backoff = backoffMs(mine.failures, deps.intervalMs, MAX_INTERVAL_MS, deps.random);
    plan(mine, Math.max(jitterMs, backoff, error.retryAfterMs ?? 0));
  }

  return {
    start(firstAfterMs = deps.afterMs) {
      if (run) return;
      run = { failures: 0 };
      plan(run, firstAfterMs);
    },
    stop() {
      run = undefined;
      clock.clearTimeout(timer);
    },
  };
}
