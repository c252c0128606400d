import { type Clock, MAX_DELAY_MS } from '../environment.ts';
import type { ClientError } from '../errors.ts';

/**
 * Doubles from `minMs` to `maxMs`, less up to three quarters at random: a crowd that lost its relay in the same moment does not come
 * back in the same moment. `attempt` counts from 0.
 */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: () => number): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30)) * (0.25 + 0.75 * random());
}

/** Waits that can be cut short, but not below the delay that a server has asked for. */
export interface Waits {
  /** Resolves after the longer of the two: our own delay, which `skip` cuts short, and the server's, which only `stop` does. */
  wait: (ownMs: number, serverMs?: number) => Promise<void>;
  /** Ends every wait that the server has not asked for: trying again at once may succeed. */
  skip: () => void;
  /** Every wait is over, and so is every later one. */
  stop: () => void;
}

export function createWaits(clock: Clock): Waits {
  const waiting = new Set<{ notBefore: number; resolve: () => void; timer: unknown }>();
  let stopped = false;

  return {
    async wait(ownMs, serverMs = 0) {
      if (stopped) return;
      await new Promise<void>((resolve) => {
        const entry = {
          notBefore: clock.now() + serverMs,
          timer: undefined as unknown,
          resolve: () => {
            clock.clearTimeout(entry.timer);
            waiting.delete(entry);
            resolve();
          },
        };
        entry.timer = clock.setTimeout(entry.resolve, Math.min(Math.max(ownMs, serverMs), MAX_DELAY_MS));
        waiting.add(entry);
      });
    },
    skip() {
      const now = clock.now();
      for (const entry of waiting) {
        clock.clearTimeout(entry.timer);
        if (entry.notBefore <= now) entry.resolve();
        else entry.timer = clock.setTimeout(entry.resolve, entry.notBefore - now);
      }
    },
    stop() {
      stopped = true;
      for (const entry of waiting) entry.resolve();
    },
  };
}

/** One thing that is tried again: at most one attempt is planned at a time. */
export interface Retry {
  /** Plans the next attempt after a failure: ever later, and not before the server wants it. */
  failed: (error: ClientError) => void;
  succeeded: () => void;
  /** If an attempt is planned and the server did not ask for the delay, it is made at once. */
  hurry: () => void;
  stop: () => void;
}

export function createRetry(deps: {
  run: () => void;
  minMs: number;
  maxMs: number;
  clock: Clock;
  random: () => number;
}): Retry {
  const { clock } = deps;
  let failures = 0;
  let notBefore = 0;
  let timer: unknown;

  function cancel(): void {
    clock.clearTimeout(timer);
    timer = undefined;
  }
  function plan(delayMs: number): void {
    cancel();
    timer = clock.setTimeout(
      () => {
        timer = undefined;
        deps.run();
      },
      Math.min(delayMs, MAX_DELAY_MS),
    );
  }

  return {
    failed({ retryable, retryAfterMs = 0 }) {
      if (!retryable) return cancel();
      notBefore = clock.now() + retryAfterMs;
      plan(Math.max(retryAfterMs, backoffMs(failures, deps.minMs, deps.maxMs, deps.random)));
      failures += 1;
    },
    succeeded() {
      cancel();
      failures = 0;
    },
    hurry() {
      if (timer !== undefined) plan(Math.max(0, notBefore - clock.now()));
    },
    stop: cancel,
  };
}
