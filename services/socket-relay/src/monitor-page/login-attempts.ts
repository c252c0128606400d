import { addressKey } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import { TokenBucket } from '../sessions/rate-limit.ts';

/** Wrong tokens that one address may try in a minute, and at once. */
const PER_MINUTE = 10;
/** Addresses that are counted: for one more, the one that was counted first is forgotten. */
const MAX_ADDRESSES = 1_000;

/** Limits how many wrong tokens are tried. */
export interface LoginAttempts {
  /** Throws `RATE_LIMITED` while the address has tried too many. A right token is not looked at either. */
  assertAllowed(address: string): void;
  noteWrong(address: string): void;
}

export function createLoginAttempts(now?: () => number): LoginAttempts {
  const buckets = new Map<string, TokenBucket>();

  return {
    assertAllowed(address) {
      const waitMs = buckets.get(addressKey(address))?.msUntil(1) ?? 0;
      if (waitMs === 0) return;
      const why = `more than ${PER_MINUTE} wrong tokens a minute`;
      throw new GroupcastError('RATE_LIMITED', `unable to log in; ${why}`, { retryAfterMs: waitMs });
    },
    noteWrong(address) {
      const key = addressKey(address);
      const bucket = buckets.get(key) ?? new TokenBucket(PER_MINUTE / 60, PER_MINUTE, now);
      const [first] = buckets.keys();
      if (!buckets.has(key) && buckets.size >= MAX_ADDRESSES && first !== undefined) buckets.delete(first);
      buckets.set(key, bucket);
      bucket.take(1);
    },
  };
}
