import type { Logger, Warn } from '@groupcast/service-kit';

/** Users whose older tokens are refused, until those tokens have expired by themselves. */
export interface Revocations {
  revoke(userId: string, before: number): void;
  isRevoked(userId: string, issuedAt: number): boolean;
  sweep(): void;
  size(): number;
}

/**
 * Holds at most `maxEntries`. Beyond it the oldest revocations are forgotten, and every token from before them is refused instead: its user
 * logs in again, which does less harm than letting a banned user in.
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
  /** The revocations that were forgotten for lack of room: older tokens of all users are refused. */
  let forgotten = { before: 0, until: 0 };

  function makeRoom(): void {
    for (const [userId, { before, until }] of revoked) {
      if (revoked.size <= maxEntries) return;
      revoked.delete(userId);
      // A moment in the future would refuse everybody who connects.
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
