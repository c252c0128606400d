import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { HttpApp } from '@groupcast/service-kit';

const RESOLUTION_MS = 10;
const SAMPLE_MS = 1_000;

/**
 * Whether this process answers more than `maxDelayMs` late, as of the last second. It measures with nothing but the clock: to ask for the
 * memory that is used takes a descriptor, and throws when there is none. Ends with the app.
 */
export function watchEventLoop(app: HttpApp, maxDelayMs: number): () => boolean {
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
  return () => delayMs > maxDelayMs;
}
