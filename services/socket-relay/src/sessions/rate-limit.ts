import { GroupcastError } from '@groupcast/shared';

/** Units that come back with time: `perSecond` of them, up to `capacity`. Time is monotonic, in milliseconds. */
export class TokenBucket {
  private readonly perSecond: number;
  private readonly capacity: number;
  private readonly now: () => number;
  private level: number;
  private updatedAt: number;

  constructor(perSecond: number, capacity: number, now: () => number = () => performance.now()) {
    this.perSecond = perSecond;
    this.capacity = capacity;
    this.now = now;
    this.level = capacity;
    this.updatedAt = now();
  }

  /** Takes the units, or none of them if fewer are there. */
  take(units: number): boolean {
    if (this.refilled() < units) return false;
    this.level -= units;
    return true;
  }

  /**
   * Takes units that may come only later, and returns after how many milliseconds they are there: callers that ask at once are let pass one
   * after the other. Returns `undefined`, and takes nothing, if that would be later than `withinMs`.
   */
  reserve(units: number, withinMs: number): number | undefined {
    const after = this.refilled() - units;
    const waitMs = Math.max(0, Math.ceil(-after * (1_000 / this.perSecond)));
    if (waitMs > withinMs) return undefined;
    this.level = after;
    return waitMs;
  }

  /** Takes units that were used before their number was known. The bucket owes no more than it can hold. */
  charge(units: number): void {
    this.level = Math.max(Math.min(this.level, -this.capacity), this.refilled() - units);
  }

  /** Returns after how many milliseconds that many units are there. No more than the bucket holds are waited for. */
  msUntil(units: number): number {
    return Math.max(0, Math.ceil((Math.min(units, this.capacity) - this.refilled()) * (1_000 / this.perSecond)));
  }

  isFull(): boolean {
    return this.refilled() >= this.capacity;
  }

  private refilled(): number {
    const at = this.now();
    this.level = Math.min(this.capacity, this.level + ((at - this.updatedAt) / 1_000) * this.perSecond);
    this.updatedAt = at;
    return this.level;
  }
}

/** Limits the events of one connection. */
export interface RateLimit {
  /** Throws `RATE_LIMITED` if too many events came. */
  take(): void;
}

/** Allows `perSecond` events, and twice as many at once. */
export function createRateLimit(perSecond: number, now?: () => number): RateLimit {
  const bucket = new TokenBucket(perSecond, perSecond * 2, now);
  return {
    take() {
      if (bucket.take(1)) return;
      throw new GroupcastError('RATE_LIMITED', `unable to accept the event; more than ${perSecond} a second`, {
        retryAfterMs: bucket.msUntil(1),
      });
    },
  };
}
