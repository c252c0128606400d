/**
 * Starts `count` sends, one every `1000 / rate` ms, whether or not earlier ones were answered: what a busy system does
 * not take in time is late, and shows. Only with `maxInFlight` sends unanswered it waits, and then catches up.
 * `send` must not reject. Resolves when every send has settled; rejects as soon as `stopped` aborts.
 */
export async function runOpenLoop(options: {
  count: number;
  rate: number;
  maxInFlight: number;
  send: (index: number) => Promise<void>;
  stopped: AbortSignal;
}): Promise<void> {
  const { count, rate, maxInFlight, send, stopped } = options;
  const interval = 1_000 / rate;
  const startedAt = performance.now();
  let next = 0;
  let inFlight = 0;
  let timer: NodeJS.Timeout | undefined;

  await new Promise<void>((resolve, reject) => {
    const fail = (reason: unknown): void => {
      clearTimeout(timer);
      stopped.removeEventListener('abort', stop);
      reject(reason instanceof Error ? reason : new Error(String(reason)));
    };
    const stop = (): void => fail(stopped.reason);

    function settled(): void {
      inFlight -= 1;
      if (stopped.aborted) return;
      if (next < count) pump();
      else if (inFlight === 0) {
        stopped.removeEventListener('abort', stop);
        resolve();
      }
    }

    function pump(): void {
      clearTimeout(timer);
      const due = Math.min(count, Math.floor((performance.now() - startedAt) / interval) + 1);
      // A send may stop the loop itself.
      while (next < due && inFlight < maxInFlight && !stopped.aborted) {
        inFlight += 1;
        send(next).then(settled, fail);
        next += 1;
      }
      if (next >= count || inFlight >= maxInFlight || stopped.aborted) return;
      timer = setTimeout(pump, startedAt + next * interval - performance.now());
    }

    if (stopped.aborted) return stop();
    stopped.addEventListener('abort', stop, { once: true });
    return pump();
  });
}
