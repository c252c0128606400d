import { isBefore, type Position } from '@groupcast/shared';
import { MAX_FUTURE_IAT_SECONDS } from '@groupcast/tokens';

/**
 * What outlives a token: removals from groups and revocations of users, kept until every token from before has expired.
 * In memory, and filled from the shared log of changes where there is one (cluster/change-log.ts); without, a relay that starts knows
 * nothing of the time before. Claims older than the store need the API's word.
 *
 * A token may be older than its `iat` says, by as much as clocks may differ: for memberships the earliest moment counts. A revocation
 * goes by the `iat` itself, because whoever is asked to refresh does so within the same second.
 */
export interface Removals {
  /** Counts changes; what was decided at one version is stale for a pair that was changed later. */
  readonly version: number;
  /**
   * Stores that users were removed or added, and returns those for whom this is news. With a position, a change that comes
   * late, after a newer one of the same user, is recognised and left out.
   */
  record(
    kind: 'removed' | 'added',
    groupId: string,
    userIds: readonly string[],
    position?: Position,
    atSecond?: number,
  ): string[];
  /** Where the store is shared, it is older than this process: since when (Unix seconds) it knows every change. */
  reachesBackTo: (second: number) => void;
  /** Was the user removed from the group after `version`? */
  removedSince(groupId: string, userId: string, version: number): boolean;
  /** Groups the user was added to when a token issued then (Unix seconds) may not have known, in the last minutes. */
  addedSince(userId: string, issuedAt: number): string[];
  /** Whether a token issued then (Unix seconds) can speak for this membership, or the API has to be asked. */
  claimStands(groupId: string, userId: string, issuedAt: number): boolean;
  /** May the user have been removed since the token was issued? What remains true when there is no API to ask. */
  contradicts(groupId: string, userId: string, issuedAt: number): boolean;
  /** Tokens of the user issued before `before` (Unix seconds) are refused from now on. */
  revoke(userId: string, before: number): void;
  isRevoked(userId: string, issuedAt: number): boolean;
  stop(): void;
}

interface Change {
  kind: 'removed' | 'added';
  second: number;
  version: number;
  position: Position | undefined;
}

const SWEEP_INTERVAL_MS = 60_000;
/** Longer than any handshake, and than bytes of a dead process can wait in a socket. */
const ADDITION_MEMORY_SECONDS = 300;

export function createRemovals(options: { memoryMs: number; now?: () => number }): Removals {
  const now = options.now ?? Date.now;
  const seconds = (): number => Math.floor(now() / 1_000);
  let bornAt = seconds();
  /** The last change of each pair, by group and user. */
  const changes = new Map<string, Map<string, Change>>();
  /** When each user was added to which group, the recent ones. */
  const additions = new Map<string, Map<string, number>>();
  const revoked = new Map<string, { before: number; at: number }>();
  let version = 0;

  const earliest = (issuedAt: number): number => issuedAt - MAX_FUTURE_IAT_SECONDS;

  function oldestRemembered(): number {
    return Math.max(bornAt, seconds() - Math.floor(options.memoryMs / 1_000));
  }

  function removalOf(groupId: string, userId: string): Change | undefined {
    const change = changes.get(groupId)?.get(userId);
    return change?.kind === 'removed' ? change : undefined;
  }

  function contradicts(groupId: string, userId: string, issuedAt: number): boolean {
    const removal = removalOf(groupId, userId);
    return removal !== undefined && earliest(issuedAt) <= removal.second;
  }

  /** Older than what is known; what is known at the same place is done again. */
  function isLate(known: Change | undefined, position: Position | undefined): boolean {
    return known?.position !== undefined && position !== undefined && isBefore(position, known.position);
  }

  function sweep(): void {
    const oldest = { removed: seconds() - options.memoryMs / 1_000, added: seconds() - ADDITION_MEMORY_SECONDS };
    for (const [groupId, users] of changes) {
      for (const [userId, { kind, second }] of users) if (second < oldest[kind]) users.delete(userId);
      if (users.size === 0) changes.delete(groupId);
    }
    for (const [userId, groups] of additions) {
      for (const [groupId, second] of groups) if (second < oldest.added) groups.delete(groupId);
      if (groups.size === 0) additions.delete(userId);
    }
    for (const [userId, entry] of revoked) if (entry.at < now() - options.memoryMs) revoked.delete(userId);
  }

  const timer = setInterval(sweep, SWEEP_INTERVAL_MS);
  timer.unref();

  return {
    get version() {
      return version;
    },
    reachesBackTo(second) {
      bornAt = second;
    },
    record(kind, groupId, userIds, position, atSecond = seconds()) {
      version += 1;
      const users = changes.get(groupId) ?? new Map<string, Change>();
      changes.set(groupId, users);
      const news = userIds.filter((userId) => !isLate(users.get(userId), position));
      for (const userId of news) {
        users.set(userId, { kind, second: atSecond, version, position });
        const groups = additions.get(userId) ?? new Map<string, number>();
        if (kind === 'added') additions.set(userId, groups.set(groupId, atSecond));
        else groups.delete(groupId);
      }
      return news;
    },
    removedSince: (groupId, userId, since) => (removalOf(groupId, userId)?.version ?? 0) > since,
    addedSince(userId, issuedAt) {
      const added = [...(additions.get(userId) ?? [])].filter(([, second]) => second >= earliest(issuedAt));
      return added.map(([groupId]) => groupId);
    },
    claimStands: (groupId, userId, issuedAt) =>
      earliest(issuedAt) >= oldestRemembered() && !contradicts(groupId, userId, issuedAt),
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
