import type { Logger, Warn } from '@groupcast/service-kit';

/** Users whose older tokens are refused, until those have expired by themselves. */
export interface Revocations {
  revoke(userId: string, before: number): void;
  isRevoked(userId: string, issuedAt: number): boolean;
  sweep(): void;
  size(): number;
}

/**
 * At most `maxEntries`. Beyond it the oldest are forgotten, and every token from before them is refused in their place: its user logs in
 * again, which is less than letting in whoever was banned.
 */
export function createRevocations(options: {
  memoryMs: number;
  maxEntries: number;
  now: () => number;
  monotonic: () => number;
  warn: Warn;
  log: Logger;
}): Revocations {
  const { memoryMs, maxEntries, now, monotonic, warn, log } = options;
  const revoked = new Map<string, { before: number; until: number }>();
  /** What was forgotten for lack of room: tokens from before are refused, of whomever they are. */
  let forgotten = { before: 0, until: 0 };

  function makeRoom(): void {
    for (const [userId, { before, until }] of revoked) {
      if (revoked.size <= maxEntries) return;
      revoked.delete(userId);
      // A moment in the future would refuse everybody who comes.
      const notAhead = Math.min(before, Math.floor(now() / 1_000));
      forgotten = { before: Math.max(forgotten.before, notAhead), until: Math.max(forgotten.until, until) };
      warn('revocations', (suppressed) => {
        log.warn(
          { maxEntries, before: forgotten.before, suppressed },
          'more revocations than REMOVAL_MEMORY_ENTRIES: the oldest are forgotten, and all tokens from before them are refused',
        );
      });
    }
  }

  return {
    revoke(userId, before) {
      const known = revoked.get(userId)?.before ?? 0;
      revoked.delete(userId);
      revoked.set(userId, { before: Math.max(known, before), until: monotonic() + memoryMs });
      makeRoom();
    },
    isRevoked: (userId, issuedAt) => issuedAt < Math.max(revoked.get(userId)?.before ?? 0, forgotten.before),
    sweep() {
      for (const [userId, { until }] of revoked) {
        if (until > monotonic()) break;
        revoked.delete(userId);
      }
      if (forgotten.until <= monotonic()) forgotten = { before: 0, until: 0 };
    },
    size: () => revoked.size,
  };
}
