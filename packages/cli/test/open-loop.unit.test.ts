import { describe, expect, it } from 'vitest';
import { runOpenLoop } from '../src/broadcast-test/open-loop.ts';

const never = new AbortController().signal;

describe('runOpenLoop', () => {
  it('starts every send once, in order, and not before it is due', async () => {
    const started: number[] = [];
    const startedAt = performance.now();
    const rate = 500;
    await runOpenLoop({
      count: 20,
      rate,
      maxInFlight: 100,
      stopped: never,
      send: async (index) => {
        // A timer may fire a millisecond early.
        expect(performance.now() - startedAt).toBeGreaterThanOrEqual((index * 1_000) / rate - 1);
        started.push(index);
      },
    });
    expect(started).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  it('does not wait for answers, up to the bound, and resolves after the last one', async () => {
    const answers: (() => void)[] = [];
    let resolved = false;
    let reachedBound: () => void = () => undefined;
    const bound = new Promise<void>((resolve) => {
      reachedBound = resolve;
    });
    const loop = runOpenLoop({
      count: 5,
      rate: 5_000,
      maxInFlight: 3,
      stopped: never,
      send: (index) =>
        new Promise((resolve) => {
          answers.push(resolve);
          if (index === 2) reachedBound();
        }),
    }).then(() => {
      resolved = true;
    });
    await bound;
    expect(answers).toHaveLength(3);
    for (let index = 0; index < 5; index += 1) {
      expect(resolved).toBe(false);
      answers[index]?.();
      await Promise.resolve();
      await Promise.resolve();
      expect(answers.length - index - 1).toBeLessThanOrEqual(3);
    }
    await loop;
    expect(answers).toHaveLength(5);
  });

  it('rejects at once when it is stopped, and starts nothing more', async () => {
    const stop = new AbortController();
    let started = 0;
    const loop = runOpenLoop({
      count: 1_000,
      // All of them are due from the start.
      rate: 1_000_000_000,
      maxInFlight: 1_000,
      stopped: stop.signal,
      send: async (index) => {
        started += 1;
        if (index === 3) stop.abort();
      },
    });
    await expect(loop).rejects.toThrow(/abort/i);
    expect(started).toBe(4);
    await expect(
      runOpenLoop({ count: 1, rate: 1, maxInFlight: 1, stopped: stop.signal, send: async () => undefined }),
    ).rejects.toThrow(/abort/i);
  });
});
