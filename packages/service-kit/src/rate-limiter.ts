const WINDOW_MS = 60_000;
/** Rounding error that sums of fractions of a millisecond may have. */
const ROUNDING_MS = 1e-6;
/** Most keys that are remembered; the one that asked least recently is forgotten first. A flood of addresses cannot grow the process. */
const MAX_KEYS = 50_000;

/** A budget of `perMinute` requests for each key, refilled continuously and full after a minute without requests. */
export interface RateLimiter {
  /** Spends one request. Where the budget is spent it takes nothing, and answers the milliseconds until a request is allowed again. */
  take(key: string): number | undefined;
  /** Takes one request back. */
  giveBack(key: string): void;
  /** Keys that are remembered. */
  readonly size: number;
}

/** `now`: monotonic milliseconds, so that a clock that is set changes nobody's budget. */
export function createRateLimiter(options: { perMinute: number; maxKeys?: number; now?: () => number }): RateLimiter {
  const { perMinute, maxKeys = MAX_KEYS, now = () => performance.now() } = options;
  const costMs = WINDOW_MS / perMinute;
  /** When each key's budget is full again. */
  const fullAt = new Map<string, number>();

  return {
    take(key) {
      const at = now();
      const next = Math.max(fullAt.get(key) ?? 0, at) + costMs;
      const overMs = next - at - WINDOW_MS;

      if (overMs > ROUNDING_MS) return Math.max(1, Math.ceil(overMs));
      fullAt.delete(key);
      fullAt.set(key, next);
      if (fullAt.size > maxKeys) {
        for (const oldest of fullAt.keys()) {
          fullAt.delete(oldest);
          break;
        }
      }
      return undefined;
    },
    giveBack(key) {
      const full = fullAt.get(key);
      if (full !== undefined) fullAt.set(key, full - costMs);
    },
    get size() {
      return fullAt.size;
    },
  };
}
