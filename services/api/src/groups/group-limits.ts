import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import type { GroupBounds } from '../limits.ts';
import { countGroupsBy, countMembers, findMuchInvited, findUnanswering, spendInHour } from './limit-store.ts';

export type GroupBound =
  | 'groups-per-hour'
  | 'groups-owned'
  | 'members'
  | 'member-changes-per-hour'
  | 'pair'
  | 'invitations';

/** Most user ids that one error names. */
const MAX_NAMES = 10;
/** Most unanswered invitations by one user to the same other one. */
const MAX_INVITATIONS_PER_PAIR = 10;

/**
 * Bounds what one user may do with groups and their members, over all processes. Each method is called inside the transaction of the change
 * and throws where its bound is met, so that a refused change counts for nothing.
 */
export interface GroupLimits {
  /**
   * Counts one more group of the user. Throws `RATE_LIMITED` or `GROUP_LIMIT`. It comes before the other methods, and keeps the user's
   * changes from overtaking each other.
   */
  countGroup(tx: Queryable, userId: string): Promise<void>;
  /** Counts people added, invited or removed by the user. Throws `RATE_LIMITED`. It comes before the other methods as well. */
  countChanges(tx: Queryable, userId: string, people: number): Promise<void>;
  /** Throws `GROUP_FULL` unless the group, which the caller has locked, has room for `people` more members. */
  assertRoom(tx: Queryable, groupId: string, people: number): Promise<void>;
  /** Throws `GROUP_LIMIT`, naming them, where some of these people may not be put into one more group by `userId`. */
  assertPairs(tx: Queryable, userId: string, people: readonly string[]): Promise<void>;
  /** Throws `GROUP_LIMIT`, naming them, where some of these people may not be invited once more by `userId`. */
  assertInvitations(tx: Queryable, userId: string, people: readonly string[]): Promise<void>;
}

export function createGroupLimits(
  deps: { log: Logger; onRefused: (bound: GroupBound) => void },
  bounds: GroupBounds,
): GroupLimits {
  const warn = warnOnceEvery(60_000);

  function refuse(bound: GroupBound, subject: object, error: GroupcastError): never {
    deps.onRefused(bound);
    warn(bound, (suppressed) => deps.log.warn({ code: error.code, bound, ...subject, suppressed }, error.message));
    throw error;
  }

  async function spend(
    tx: Queryable,
    kind: GroupBound,
    userId: string,
    amount: number,
    perHour: number,
  ): Promise<void> {
    const { used, leftMs } = await spendInHour(tx, { userId, kind, amount });
    if (used <= perHour) return;
    const message =
      kind === 'groups-per-hour'
        ? `unable to create the group; you may create ${perHour} in an hour`
        : `unable to change the members; you may add and remove ${perHour} in an hour`;
    refuse(kind, { userId }, new GroupcastError('RATE_LIMITED', message, { retryAfterMs: leftMs }));
  }

  function refusePeople(bound: GroupBound, userId: string, people: readonly string[], why: string): never {
    const userIds = people.slice(0, MAX_NAMES);
    const rest = people.length > MAX_NAMES ? ' and others' : '';
    const message = `unable to add ${userIds.join(', ')}${rest}; ${why}`;
    refuse(bound, { userId }, new GroupcastError('GROUP_LIMIT', message, { details: { userIds } }));
  }

  return {
    async countGroup(tx, userId) {
      await spend(tx, 'groups-per-hour', userId, 1, bounds.groupsPerHour);
      // The group itself is counted already.
      if ((await countGroupsBy(tx, userId, bounds.groupsOwned + 1)) <= bounds.groupsOwned) return;
      const message = `unable to create the group; you may have created ${bounds.groupsOwned} that are not deleted`;
      refuse('groups-owned', { userId }, new GroupcastError('GROUP_LIMIT', message));
    },
    async countChanges(tx, userId, people) {
      if (people > 0) await spend(tx, 'member-changes-per-hour', userId, people, bounds.memberChangesPerHour);
    },
    async assertRoom(tx, groupId, people) {
      if ((await countMembers(tx, groupId)) + people <= bounds.membersPerGroup) return;
      const message = `unable to add to the group; it may have ${bounds.membersPerGroup} members`;
      refuse('members', { groupId }, new GroupcastError('GROUP_FULL', message));
    },
    async assertPairs(tx, userId, people) {
      const names = await findUnanswering(tx, userId, people, bounds.unansweredPerPair);
      if (names.length === 0) return;
      const why = `they are in ${bounds.unansweredPerPair} groups by you in which they have not read or said anything`;
      refusePeople('pair', userId, names, why);
    },
    async assertInvitations(tx, userId, people) {
      const names = await findMuchInvited(tx, userId, people, MAX_INVITATIONS_PER_PAIR);
      if (names.length === 0) return;
      refusePeople('invitations', userId, names, `they have ${MAX_INVITATIONS_PER_PAIR} invitations by you to answer`);
    },
  };
}
