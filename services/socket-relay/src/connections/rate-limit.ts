import { GroupcastError } from '@groupcast/shared';

/** A token bucket. */
export interface RateLimit {
  /** Throws `RATE_LIMITED` when it is empty. */
  take(): void;
}

/** `perSecond` events, twice as many at once. */
export function createRateLimit(perSecond: number, now: () => number = () => performance.now()): RateLimit {
  const capacity = perSecond * 2;
  let level = capacity;
  let updatedAt = now();
  return {
    take() {
      const at = now();
      level = Math.min(capacity, level + ((at - updatedAt) / 1_000) * perSecond);
      updatedAt = at;
      if (level < 1) {
        throw new GroupcastError('RATE_LIMITED', `unable to accept the event; more than ${perSecond} a second`, {
          retryAfterMs: Math.ceil((1 - level) * (1_000 / perSecond)),
        });
      }
      level -= 1;
    },
  };
}
