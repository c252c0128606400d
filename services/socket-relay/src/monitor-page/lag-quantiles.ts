/** How many observations of a histogram were at most `le` seconds. The last bound is infinite. */
export interface Bucket {
  le: number;
  count: number;
}

/** Returns what was counted since `before`; all of it where that is missing. Both are cumulative, and have the same bounds. */
export function bucketsSince(before: readonly Bucket[] | undefined, now: readonly Bucket[]): Bucket[] {
  return now.map(({ le, count }, index) => ({ le, count: count - (before?.[index]?.count ?? 0) }));
}

/**
 * Returns the quantile `q` in milliseconds, between the bounds of its bucket as far as the counts say; the last finite bound for what is
 * above it, and `null` where nothing was observed.
 */
export function quantileMs(buckets: readonly Bucket[], q: number): number | null {
  const total = buckets.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  const index = buckets.findIndex(({ count }) => count >= rank);
  const bucket = buckets[index];
  const below = buckets[index - 1] ?? { le: 0, count: 0 };
  if (!bucket || !Number.isFinite(bucket.le)) return below.le * 1_000;
  const inside = bucket.count - below.count;
  const part = inside === 0 ? 1 : (rank - below.count) / inside;
  return (below.le + (bucket.le - below.le) * part) * 1_000;
}
