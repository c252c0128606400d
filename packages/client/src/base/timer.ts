import type { Clock } from '../environment.ts';

/** One time at which something is due: setting it again replaces it. */
export interface Timer {
  set: (delayMs: number, run: () => void) => void;
  clear: () => void;
}

export function createTimer(clock: Clock): Timer {
  let timer: unknown;
  const clear = (): void => clock.clearTimeout(timer);
  return {
    set(delayMs, run) {
      clear();
      timer = clock.setTimeout(run, delayMs);
    },
    clear,
  };
}
