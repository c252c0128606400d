import { backoffMs } from '../base/backoff.ts';
import { type Clock, MAX_DELAY_MS } from '../environment.ts';
import type { ClientError } from '../errors.ts';

export interface PollingDeps {
  /** Time without a connection before the first poll, in milliseconds. */
  afterMs: number;
  intervalMs: number;
  /** Asks the API for news; resolves with the error if it fails. Never rejects. */
  poll: () => Promise<ClientError | null>;
  onOutcome: (answered: boolean) => void;
  clock: Clock;
  random: () => number;
}

/** Asks the API at an interval while there is no connection. While the API does not answer, the interval grows; its own delay is kept. */
export interface Polling {
  /** Starts, unless it has started already. The first poll is after `afterMs`, or after the delay that is given. */
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
    // Clients that lost their relay in one moment do not ask in one moment.
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
