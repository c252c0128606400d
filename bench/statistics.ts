/** `percent` of the values are at or below it; NaN of nothing. */
function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.min(sorted.length - 1, Math.ceil((percent * sorted.length) / 100) - 1))] ?? Number.NaN;
}

/** The mean of the middle two where there is no middle one. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) / 2;
}

/** Student's t for an interval of 95 %, by degrees of freedom, from 1; below the last one for more. */
const T95 = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131];

/** The geometric mean of ratios that were measured independently, and the interval in which it is with 95 %. */
export function meanRatio(ratios: readonly number[]): { mean: number; from: number; to: number } {
  const logs = ratios.map(Math.log);
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (logs.length - 1);
  const half = (T95[logs.length - 2] ?? T95.at(-1) ?? Number.NaN) * Math.sqrt(variance / logs.length);
  return { mean: Math.exp(mean), from: Math.exp(mean - half), to: Math.exp(mean + half) };
}

export interface Spread {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export function spreadOf(latenciesMs: readonly number[]): Spread {
  return {
    p50Ms: percentile(latenciesMs, 50),
    p99Ms: percentile(latenciesMs, 99),
    maxMs: percentile(latenciesMs, 100),
  };
}
