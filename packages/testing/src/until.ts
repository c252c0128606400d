interface Emitter {
  once(event: string, listener: (payload: unknown) => void): unknown;
  off(event: string, listener: (payload: unknown) => void): unknown;
}

/** The first pause, and the longest one: a condition that takes long is most often asked of a process, which has better things to do. */
const STEP_MS = { first: 10, longest: 40, growth: 1.2 } as const;

/** Resolves with the first truthy value of `condition`, asked again and again; throws after `timeoutMs`, naming `what`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 15_000,
  longestStepMs: number = STEP_MS.longest,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  let stepMs: number = STEP_MS.first;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause: last });
    const pauseMs = stepMs;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    stepMs = Math.min(stepMs * STEP_MS.growth, longestStepMs);
  }
}

/** Resolves with the payload of the next `event`; throws when it does not come in time. */
export async function received<T>(emitter: Emitter, event: string, timeoutMs = 10_000): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const listener = (payload: unknown): void => {
      clearTimeout(timer);
      resolve(payload as T);
    };
    const timer = setTimeout(() => {
      emitter.off(event, listener);
      reject(new Error(`waited ${timeoutMs} ms for "${event}"`));
    }, timeoutMs);
    emitter.once(event, listener);
  });
}
