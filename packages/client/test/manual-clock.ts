import type { Clock } from '@groupcast/client';

export interface ManualClock extends Clock {
  /** Moves time on, timer by timer, and lets promises run in between. */
  advance: (ms: number) => Promise<void>;
  readonly timers: number;
}

/** Lets everything run that waits for nothing but its turn. */
export async function turns(count = 100): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

export function manualClock(): ManualClock {
  const timers = new Map<object, { at: number; run: () => void }>();
  let now = 0;
  return {
    now: () => now,
    setTimeout(run, delayMs) {
      const timer = {};
      timers.set(timer, { at: now + delayMs, run });
      return timer;
    },
    clearTimeout: (timer) => void timers.delete(timer as object),
    get timers() {
      return timers.size;
    },
    async advance(ms) {
      const end = now + ms;
      await turns();
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).toSorted(([, a], [, b]) => a.at - b.at)[0];
        if (!due) break;
        const [timer, { at, run }] = due;
        now = Math.max(now, at);
        timers.delete(timer);
        run();
        await turns();
      }
      now = end;
    },
  };
}

/** Keeps what is logged at `warn` and above. */
export function memoryLogger() {
  const lines: string[] = [];
  return {
    lines,
    debug: (): void => undefined,
    warn: (message: string): void => void lines.push(message),
    error: (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`),
  };
}
