import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { isBefore, type Position } from '@groupcast/shared';
import { DEFAULT_CLOCK_SKEW_SECONDS } from '@groupcast/tokens';
import { createChangeQueue, type RememberedChange } from './change-queue.ts';
import {
  deleteOwnChange,
  type GroupChanges,
  isWithoutChanges,
  noChanges,
  ownChange,
  ownChanges,
  setOwnChange,
} from './group-changes.ts';
import { createRevocations } from './revocations.ts';

/**
 * Remembers removals from groups and revocations of users until every token from before has expired. The store is in memory, and is filled
 * from the shared log of changes if there is one (nodes/change-log.ts); without it, a relay that starts knows nothing of the time before.
 * Claims that are older than the store have to be confirmed by the API.
 *
 * A token may be older than its `iat` says, by as much as clocks may differ: for memberships the earliest moment counts. A revocation goes
 * by the `iat` itself, because a client that is asked to refresh does so within the same second.
 *
 * The store is bounded. Beyond `maxEntries` it forgets the oldest removals. Claims from before those have to be confirmed by the API, as
 * claims from before the store do; without an API they are refused. How long an entry is remembered goes by a clock that nobody sets; the
 * wall clock counts only where it is compared with an `iat`.
 */
export interface Removals {
  /** Number of changes. A decision that was made at one version is stale for a pair that was changed later. */
  readonly version: number;
  /**
   * Stores that users were removed or added, and returns those for whom this is news. With a position, a change that comes late, after a
   * newer one of the same user, is recognised and left out.
   */
  record(
    kind: 'removed' | 'added',
    groupId: string,
    userIds: readonly string[],
    position?: Position,
    atSecond?: number,
  ): string[];
  /**
   * Stores that everybody was removed, as one entry. Returns the users who were changed later and stay as they are; `undefined` if it comes
   * late, after a newer removal of everybody.
   */
  recordEveryone(groupId: string, position?: Position, atSecond?: number): ReadonlySet<string> | undefined;
  /** The store is older than this process, because it is shared: since when (Unix seconds) it knows every change. */
  reachesBackTo: (second: number) => void;
  /** Whether the user was removed from the group after `version`. */
  removedSince(groupId: string, userId: string, version: number): boolean;
  /** Groups that the user was added to in the last minutes, when a token issued then (Unix seconds) may not have known. */
  addedSince(userId: string, issuedAt: number): string[];
  /** Whether a token issued then (Unix seconds) can speak for this membership. If not, the API has to be asked. */
  claimStands(groupId: string, userId: string, issuedAt: number): boolean;
  /** Whether the user may have been removed since the token was issued. It decides if there is no API to ask. */
  contradicts(groupId: string, userId: string, issuedAt: number): boolean;
  /** Tokens of the user issued before `before` (Unix seconds) are refused from now on. */
  revoke(userId: string, before: number): void;
  isRevoked(userId: string, issuedAt: number): boolean;
  /** Number of entries: pairs of user and group, groups that everybody was removed from, and revocations. */
  size(): number;
  stop(): void;
}

const SWEEP_INTERVAL_MS = 60_000;
/** How long additions are remembered, in milliseconds: longer than any handshake, and than bytes of a dead process can wait in a socket. */
const ADDITION_MEMORY_MS = 300_000;

export interface RemovalsOptions {
  memoryMs: number;
  /** Most removals, most additions and most revocations that are remembered. */
  maxEntries: number;
  log: Logger;
  /** How far ahead an `iat` may be, and so how much older than its `iat` a token may be, in seconds. */
  clockSkewSeconds?: number;
  /** The wall clock, in milliseconds. */
  now?: () => number;
  /** A clock that only goes forward, in milliseconds. */
  monotonic?: () => number;
}

export function createRemovals(options: RemovalsOptions): Removals {
  const { memoryMs, maxEntries, log, now = Date.now, monotonic = () => performance.now() } = options;
  const { clockSkewSeconds = DEFAULT_CLOCK_SKEW_SECONDS } = options;
  const seconds = (): number => Math.floor(now() / 1_000);
  const warn = warnOnceEvery(60_000, monotonic);
  let bornAt = seconds();
  /** Removals up to this second are not known any more, because they are older than the memory … */
  let expiredUntil = Number.NEGATIVE_INFINITY;
  /** … or because there were more than it may hold. */
  let overflowedUntil = Number.NEGATIVE_INFINITY;
  let overflowedVersion = 0;
  const groups = new Map<string, GroupChanges>();
  /** The recent additions of each user, by group. Most users have one. */
  const additions = new Map<string, RememberedChange | Map<string, RememberedChange>>();
  const lasting = createChangeQueue({ maxEntries, forget: forgetLasting });
  const passing = createChangeQueue({ maxEntries, forget: forgetPassing });
  const revocations = createRevocations({ memoryMs, maxEntries, now, monotonic, warn, log });
  let version = 0;

  const earliest = (issuedAt: number): number => issuedAt - clockSkewSeconds;

  function oldestRemembered(): number {
    return Math.max(bornAt, expiredUntil, overflowedUntil, seconds() - Math.floor(memoryMs / 1_000));
  }

  function lastChange(groupId: string, userId: string): RememberedChange | undefined {
    const group = groups.get(groupId);
    return group && (ownChange(group, userId) ?? group.everyone);
  }

  function contradicts(groupId: string, userId: string, issuedAt: number): boolean {
    const known = lastChange(groupId, userId);
    if (!known) return earliest(issuedAt) < overflowedUntil;
    return known.kind === 'removed' && earliest(issuedAt) <= known.second;
  }

  /** Whether the change is older than the known one. A change at the known position is carried out again. */
  function isLate(known: RememberedChange | undefined, position: Position | undefined): boolean {
    return known?.position !== undefined && position !== undefined && isBefore(position, known.position);
  }

  function forget(change: RememberedChange): void {
    const group = groups.get(change.groupId);
    if (!group) return;
    if (group.everyone === change) group.everyone = undefined;
    for (const userId of change.userIds) if (ownChange(group, userId) === change) deleteOwnChange(group, userId);
    if (isWithoutChanges(group)) groups.delete(change.groupId);
  }

  function forgetLasting(change: RememberedChange, why: 'expired' | 'overflow'): void {
    forget(change);
    if (change.kind === 'added') return;
    if (why === 'expired') {
      expiredUntil = Math.max(expiredUntil, change.second + 1);
      return;
    }
    overflowedUntil = Math.max(overflowedUntil, change.second + 1);
    overflowedVersion = Math.max(overflowedVersion, change.version);
    warn('removals', (suppressed) => {
      log.warn(
        { maxEntries, upTo: overflowedUntil, suppressed },
        'more removals than REMOVAL_MEMORY_ENTRIES: the oldest are forgotten. Claims of tokens from before them are confirmed with the API, or refused where API_URL is empty',
      );
    });
  }

  function forgetPassing(change: RememberedChange, why: 'expired' | 'overflow'): void {
    forget(change);
    for (const userId of change.userIds) forgetAddition(userId, change.groupId, change);
    if (why === 'expired') return;
    warn('additions', (suppressed) => {
      log.warn(
        { maxEntries, suppressed },
        'more new members than REMOVAL_MEMORY_ENTRIES in five minutes: users who connect with an older token join when they ask',
      );
    });
  }

  function forgetAddition(userId: string, groupId: string, which?: RememberedChange): void {
    const known = additions.get(userId);
    if (known instanceof Map) {
      if (which === undefined || known.get(groupId) === which) known.delete(groupId);
      if (known.size === 0) additions.delete(userId);
    } else if (known?.groupId === groupId && (which === undefined || known === which)) {
      additions.delete(userId);
    }
  }

  function rememberAddition(userId: string, change: RememberedChange): void {
    const known = additions.get(userId);
    if (known === undefined || (!(known instanceof Map) && known.groupId === change.groupId)) {
      additions.set(userId, change);
      return;
    }
    const several = known instanceof Map ? known : new Map([[known.groupId, known]]);
    additions.set(userId, several.set(change.groupId, change));
  }

  function groupOf(groupId: string): GroupChanges {
    const group = groups.get(groupId) ?? noChanges();
    groups.set(groupId, group);
    return group;
  }

  /** When the change is to be forgotten. A change that is read from a log was made a while ago. */
  function until(second: number, forMs: number): number {
    return monotonic() + forMs - Math.max(0, now() - second * 1_000 - 1_000);
  }

  const timer = setInterval(() => {
    lasting.sweep(monotonic());
    passing.sweep(monotonic());
    revocations.sweep();
  }, SWEEP_INTERVAL_MS);
  timer.unref();

  return {
    get version() {
      return version;
    },
    reachesBackTo(second) {
      bornAt = second;
    },
    record(kind, groupId, userIds, position, second = seconds()) {
      version += 1;
      const news = [...new Set(userIds)].filter((userId) => !isLate(lastChange(groupId, userId), position));
      if (news.length === 0) return news;
      const group = groupOf(groupId);
      // A copy is as long as it has to be; an array that grew into its length is longer.
      const change: RememberedChange = { kind, groupId, userIds: news.slice(), second, version, position, until: 0 };
      for (const userId of news) {
        setOwnChange(group, userId, change);
        if (kind === 'added') rememberAddition(userId, change);
        else forgetAddition(userId, groupId);
      }
      // An addition that takes back the removal of everybody has to be known for as long as that is.
      const isPassing = kind === 'added' && !group.everyone;
      change.until = until(second, isPassing ? ADDITION_MEMORY_MS : memoryMs);
      (isPassing ? passing : lasting).push(change);
      return news;
    },
    recordEveryone(groupId, position, second = seconds()) {
      version += 1;
      const group = groupOf(groupId);
      if (isLate(group.everyone, position)) return undefined;
      const later = new Set<string>();
      const covered = new Set<RememberedChange>();
      for (const [userId, change] of ownChanges(group)) {
        if (isLate(change, position)) {
          later.add(userId);
          continue;
        }
        deleteOwnChange(group, userId);
        if (change.kind === 'added') forgetAddition(userId, groupId);
        covered.add(change);
      }
      for (const change of covered) {
        const left = change.userIds.filter((userId) => ownChange(group, userId) === change);
        if (!passing.shrink(change, left)) lasting.shrink(change, left);
      }
      const kind = 'removed';
      const change: RememberedChange = { kind, groupId, userIds: [], second, version, position, until: 0 };
      change.until = until(second, memoryMs);
      group.everyone = change;
      lasting.push(change);
      return later;
    },
    removedSince(groupId, userId, since) {
      const known = lastChange(groupId, userId);
      if (!known) return overflowedVersion > since;
      return known.kind === 'removed' && known.version > since;
    },
    addedSince(userId, issuedAt) {
      const known = additions.get(userId);
      const all = known instanceof Map ? [...known.values()] : known ? [known] : [];
      // Of the time before the oldest removal that is remembered nobody knows what came after an addition.
      const since = Math.max(earliest(issuedAt), oldestRemembered());
      return all.filter(({ second }) => second >= since).map(({ groupId }) => groupId);
    },
    claimStands: (groupId, userId, issuedAt) =>
      earliest(issuedAt) >= oldestRemembered() && !contradicts(groupId, userId, issuedAt),
    contradicts,
    revoke: (userId, before) => revocations.revoke(userId, before),
    isRevoked: (userId, issuedAt) => revocations.isRevoked(userId, issuedAt),
    size: () => lasting.entries() + passing.entries() + revocations.size(),
    stop() {
      clearInterval(timer);
    },
  };
}
