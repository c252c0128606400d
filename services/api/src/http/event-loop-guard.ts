import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { HttpApp } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';

const RESOLUTION_MS = 10;
const SAMPLE_MS = 1_000;
const RETRY_AFTER_MS = 10_000;

/**
 * Refuses requests while this process answers more than `maxDelayMs` late: what it takes then waits for longer than anybody does. It
 * measures with nothing but the clock: to ask for the memory that is used takes a descriptor, and throws when there is none.
 */
export function refuseWhileLate(app: HttpApp, maxDelayMs: number): void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let delayMs = 0;
  const sampling = setInterval(() => {
    // Without a single measurement the loop did not turn.
    delayMs = Number.isNaN(histogram.mean) ? Infinity : histogram.mean / 1e6 - RESOLUTION_MS;
    histogram.reset();
  }, SAMPLE_MS).unref();
  app.addHook('onClose', async () => {
    clearInterval(sampling);
    histogram.disable();
  });
  app.addHook('onRequest', async () => {
    if (delayMs <= maxDelayMs) return;
    throw new GroupcastError('API_UNAVAILABLE', 'unable to serve the request; the server is overloaded', {
      retryAfterMs: RETRY_AFTER_MS,
    });
  });
}
