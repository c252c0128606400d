/** Milliseconds. */
export interface LatencySummary {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** The nearest-rank percentile: the smallest sample that at least `percent` of all samples do not exceed. Exact. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  if (sorted.length === 0) throw new RangeError('a percentile needs at least one sample');
  const rank = Math.ceil((percent * sorted.length) / 100);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] as number;
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** Sorts `samples` in place. `null` without samples. Values to a hundredth of a millisecond. */
export function summarizeLatency(samples: Float32Array): LatencySummary | null {
  if (samples.length === 0) return null;
  samples.sort();
  return {
    p50: rounded(percentile(samples, 50)),
    p95: rounded(percentile(samples, 95)),
    p99: rounded(percentile(samples, 99)),
    max: rounded(percentile(samples, 100)),
  };
}
