import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { percentile, summarizeLatency } from '../src/latency.ts';

describe('percentile', () => {
  it('is the nearest rank, exactly', () => {
    const hundred = Float32Array.from({ length: 100 }, (_, index) => index + 1);
    expect([1, 7, 50, 95, 99, 100].map((percent) => percentile(hundred, percent))).toEqual([1, 7, 50, 95, 99, 100]);
    expect(percentile([10, 20, 30], 50)).toBe(20);
    expect(percentile([10, 20, 30, 40], 50)).toBe(20);
    expect(percentile([10, 20, 30, 40], 99)).toBe(40);
    expect(percentile([7], 1)).toBe(7);
  });

  it('is a sample that enough others do not exceed, and the smallest such', () => {
    const samples = fc.array(fc.nat({ max: 1_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(samples, fc.integer({ min: 1, max: 100 }), (values, percent) => {
        const sorted = values.toSorted((a, b) => a - b);
        const value = percentile(sorted, percent);
        const needed = percent * values.length;
        expect(values.filter((sample) => sample <= value).length * 100).toBeGreaterThanOrEqual(needed);
        expect(values.filter((sample) => sample < value).length * 100).toBeLessThan(needed);
      }),
    );
  });

  it('refuses to invent a number without samples', () => {
    expect(() => percentile([], 50)).toThrow(RangeError);
  });
});

describe('summarizeLatency', () => {
  it('sorts numerically and rounds to a hundredth of a millisecond', () => {
    expect(summarizeLatency(Float32Array.of(100, 9, 20.004))).toEqual({ p50: 20, p95: 100, p99: 100, max: 100 });
    expect(summarizeLatency(Float32Array.of(1.236))?.p50).toBe(1.24);
  });

  it('is null without samples', () => {
    expect(summarizeLatency(new Float32Array(0))).toBeNull();
  });
});
