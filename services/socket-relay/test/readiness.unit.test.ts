import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createReadiness, type Readiness } from '../src/internal-http/readiness.ts';

const WINDOW_MS = 5_000;

describe('the event loop in readiness', () => {
  let histograms: RecordableHistogram[];
  let readiness: Readiness;

  /** One turn of the event loop, as every histogram notes it. */
  const turn = (ms: number): void => histograms.forEach((each) => each.record(ms * 1_000_000));
  /** Short turns for a while. */
  async function run(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 50) {
      turn(50);
      await vi.advanceTimersByTimeAsync(50);
    }
  }
  const failing = (): string[] => readiness.report().failing;

  beforeEach(() => {
    vi.useFakeTimers();
    histograms = [];
    readiness = createReadiness({
      isDraining: () => false,
      failingCluster: () => [],
      isBackEndFailing: () => false,
      canary: () => 'passes',
      watchDelays() {
        const histogram = createHistogram();
        histograms.push(histogram);
        return histogram;
      },
    });
  });
  afterEach(() => {
    readiness.stop();
    vi.useRealTimers();
  });

  test('one stall of a second is none to fail for, also where a scrape asked just before it', async () => {
    await run(3 * WINDOW_MS);
    failing();
    await run(500);
    turn(1_300);
    expect(failing()).toEqual([]);
  });

  test('a stall of seconds fails for all who ask, also before and after others, and is over after two windows', async () => {
    await run(2 * WINDOW_MS + 3_000);
    failing();
    turn(6_000);
    // The tick that was due meanwhile comes late, and once.
    await vi.advanceTimersByTimeAsync(2_000);
    const answers = [failing(), failing()];
    await run(1_000);
    expect([...answers, failing()]).toEqual([['event-loop'], ['event-loop'], ['event-loop']]);
    await run(2 * WINDOW_MS);
    expect(failing()).toEqual([]);
  });

  test('an event loop that is always late fails for everybody who asks', async () => {
    await run(2 * WINDOW_MS);
    for (let stalls = 0; stalls < 10; stalls += 1) {
      turn(1_200);
      await vi.advanceTimersByTimeAsync(1_200);
    }
    expect([failing(), failing()]).toEqual([['event-loop'], ['event-loop']]);
  });

  test('a readiness that was stopped leaves no timer', () => {
    readiness.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
