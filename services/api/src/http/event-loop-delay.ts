import { monitorEventLoopDelay } from 'node:perf_hooks';
import { EVENT_LOOP_RESOLUTION_MS, type HttpApp } from '@groupcast/service-kit';

const SAMPLE_MS = 1_000;

/**
 * Tells whether the event loop was more than `maxDelayMs` late on average over the last second. It uses the clock alone: reading the memory
 * in use takes a file descriptor, and throws when there is none. It ends with the app.
 */
export function watchEventLoop(app: HttpApp, maxDelayMs: number): () => boolean {
  const histogram = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
  histogram.enable();
  let delayMs = 0;
  const sampling = setInterval(() => {
    // There is no measurement where the loop did not turn at all.
    delayMs = Number.isNaN(histogram.mean) ? Infinity : histogram.mean / 1e6 - EVENT_LOOP_RESOLUTION_MS;
    histogram.reset();
  }, SAMPLE_MS).unref();
  app.addHook('onClose', async () => {
    clearInterval(sampling);
    histogram.disable();
  });
  return () => delayMs > maxDelayMs;
}
