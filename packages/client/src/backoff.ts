import type { Clock } from './environment.ts';

/** Doubles from `minMs` to `maxMs`; the random half keeps a crowd of clients from coming at once. `attempt` counts from 0. */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: () => number): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30)) * (0.5 + random() / 2);
}

/** Waits that can be cut short. */
export interface Waits {
  /** Resolves after `delayMs`, or earlier with `skip` or `stop`. */
  wait: (delayMs: number) => Promise<void>;
  /** Whatever is waited for is worth trying at once. */
  skip: () => void;
}

export function createWaits(clock: Clock): Waits {
  const wakes = new Set<() => void>();
  return {
    async wait(delayMs) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clock.clearTimeout(timer);
          wakes.delete(wake);
          resolve();
        };
        const timer = clock.setTimeout(wake, delayMs);
        wakes.add(wake);
      });
    },
    skip() {
      for (const wake of wakes) wake();
    },
  };
}
