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

  /** Takes the units, or none of them where fewer are there. */
  take(units: number): boolean {
    if (this.refilled() < units) return false;
    this.level -= units;
    return true;
  }

  /**
   * Takes units that may come only later, and says when they are there, in milliseconds: those who ask at once are let pass one after the
   * other. `undefined`, and takes nothing, where that would be later than `withinMs`.
   */
  reserve(units: number, withinMs: number): number | undefined {
    const after = this.refilled() - units;
    const waitMs = Math.max(0, Math.ceil(-after * (1_000 / this.perSecond)));
    if (waitMs > withinMs) return undefined;
    this.level = after;
    return waitMs;
  }

  /** Takes units that were used before anybody knew how many; the bucket owes no more than it can hold. */
  charge(units: number): void {
    this.level = Math.max(Math.min(this.level, -this.capacity), this.refilled() - units);
  }

  /** How long until so many units are there, in milliseconds; not more than the bucket holds. */
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

/** What one connection may send. */
export interface RateLimit {
  /** Throws `RATE_LIMITED` when too many events came. */
  take(): void;
}

/** `perSecond` events, twice as many at once. */
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
