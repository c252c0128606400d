/**
 * What outlives a token: removals from groups and revocations of users, kept until every token from before has expired.
 * In memory, so a relay that starts knows nothing of the time before: claims older than `bornAt` need the API's word.
 */
export interface Removals {
  /** Counts removals; what was decided at one version is stale for a pair that was removed later. */
  readonly version: number;
  record(groupId: string, userIds: readonly string[]): void;
  clear(groupId: string, userIds: readonly string[]): void;
  /** Was the user removed from the group after `version`? */
  removedSince(groupId: string, userId: string, version: number): boolean;
  /** Whether a token issued then (Unix seconds) can speak for this membership, or the API has to be asked. */
  claimStands(groupId: string, userId: string, issuedAt: number): boolean;
  /** Was the user removed since the token was issued? What remains true when there is no API to ask. */
  contradicts(groupId: string, userId: string, issuedAt: number): boolean;
  /** Tokens of the user issued before `before` (Unix seconds) are refused from now on. */
  revoke(userId: string, before: number): void;
  isRevoked(userId: string, issuedAt: number): boolean;
  stop(): void;
}

const SWEEP_INTERVAL_MS = 60_000;

export function createRemovals(options: { memoryMs: number; now?: () => number }): Removals {
  const now = options.now ?? Date.now;
  const bornAt = Math.floor(now() / 1_000);
  const removed = new Map<string, Map<string, { second: number; version: number }>>();
  const revoked = new Map<string, { before: number; at: number }>();
  let version = 0;

  function oldestRemembered(): number {
    return Math.max(bornAt, Math.floor((now() - options.memoryMs) / 1_000));
  }

  function contradicts(groupId: string, userId: string, issuedAt: number): boolean {
    const removal = removed.get(groupId)?.get(userId);
    return removal !== undefined && issuedAt <= removal.second;
  }

  const timer = setInterval(() => {
    const oldest = Math.floor((now() - options.memoryMs) / 1_000);
    for (const [groupId, users] of removed) {
      for (const [userId, removal] of users) if (removal.second < oldest) users.delete(userId);
      if (users.size === 0) removed.delete(groupId);
    }
    for (const [userId, entry] of revoked) if (entry.at < now() - options.memoryMs) revoked.delete(userId);
  }, SWEEP_INTERVAL_MS);
  timer.unref();

  return {
    get version() {
      return version;
    },
    record(groupId, userIds) {
      version += 1;
      const users = removed.get(groupId) ?? new Map<string, { second: number; version: number }>();
      removed.set(groupId, users);
      for (const userId of userIds) users.set(userId, { second: Math.floor(now() / 1_000), version });
    },
    clear(groupId, userIds) {
      const users = removed.get(groupId);
      for (const userId of userIds) users?.delete(userId);
      if (users?.size === 0) removed.delete(groupId);
    },
    removedSince(groupId, userId, since) {
      return (removed.get(groupId)?.get(userId)?.version ?? 0) > since;
    },
    claimStands: (groupId, userId, issuedAt) =>
      issuedAt >= oldestRemembered() && !contradicts(groupId, userId, issuedAt),
    contradicts,
    revoke(userId, before) {
      const known = revoked.get(userId)?.before ?? 0;
      revoked.set(userId, { before: Math.max(known, before), at: now() });
    },
    isRevoked: (userId, issuedAt) => issuedAt < (revoked.get(userId)?.before ?? 0),
    stop() {
      clearInterval(timer);
    },
  };
}
