/** Most keys that are remembered; the oldest are forgotten first, so that a flood of names cannot grow the process. */
const MAX_KEYS = 10_000;

/** Calls `write` now and then for each key, with the number of calls that were held back since the last time. */
export type Warn = (key: string, write: (suppressed: number) => void) => void;

/**
 * `warn(key, write)` calls `write` with the number of calls it held back since, at most once per `intervalMs` and key.
 */
export function warnOnceEvery(intervalMs: number, now: () => number = () => performance.now()): Warn {
  const seen = new Map<string, { at: number; suppressed: number }>();
  return (key, write) => {
    const last = seen.get(key);
    if (last && now() - last.at < intervalMs) {
      last.suppressed += 1;
      return;
    }
    seen.delete(key);
    seen.set(key, { at: now(), suppressed: 0 });
    if (seen.size > MAX_KEYS) {
      for (const oldest of seen.keys()) {
        seen.delete(oldest);
        break;
      }
    }
    write(last?.suppressed ?? 0);
  };
}
