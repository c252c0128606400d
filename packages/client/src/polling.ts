import type { Clock } from './environment.ts';

export interface PollingDeps {
  /** Milliseconds without a connection before the first poll. */
  afterMs: number;
  intervalMs: number;
  /** Asks the API for news; resolves with whether it answered. */
  poll: () => Promise<boolean>;
  onOutcome: (answered: boolean) => void;
  clock: Clock;
  random: () => number;
}

/** Asks the API at an interval while there is no connection. */
export interface Polling {
  start: () => void;
  stop: () => void;
}

export function createPolling(deps: PollingDeps): Polling {
  const { clock } = deps;
  let timer: unknown;
  let run: object | undefined;

  function plan(mine: object, delayMs: number): void {
    timer = clock.setTimeout(() => void once(mine), delayMs);
  }

  async function once(mine: object): Promise<void> {
    const answered = await deps.poll().catch(() => false);
    if (run !== mine) return;
    deps.onOutcome(answered);
    // A crowd that lost its relay in the same moment does not ask in the same moment.
    plan(mine, deps.intervalMs * (0.75 + deps.random() / 2));
  }

  return {
    start() {
      if (run) return;
      run = {};
      plan(run, deps.afterMs);
    },
    stop() {
      run = undefined;
      clock.clearTimeout(timer);
    },
  };
}
