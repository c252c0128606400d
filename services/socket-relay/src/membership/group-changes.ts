import type { RememberedChange } from './change-queue.ts';

/**
 * The last changes of one group: the last change of everybody, and that of each user whose own change is newer. Most remembered groups have
 * one change of one user, and need no map for it.
 */
export interface GroupChanges {
  everyone: RememberedChange | undefined;
  /** The only change, as long as it is about one user. */
  only: RememberedChange | undefined;
  users: Map<string, RememberedChange> | undefined;
}

export function noChanges(): GroupChanges {
  return { everyone: undefined, only: undefined, users: undefined };
}

export function isWithoutChanges({ everyone, only, users }: GroupChanges): boolean {
  return !everyone && !only && !users?.size;
}

/** Returns the user's own change if it is newer than that of everybody. */
export function ownChange({ only, users }: GroupChanges, userId: string): RememberedChange | undefined {
  return users ? users.get(userId) : only?.userIds[0] === userId ? only : undefined;
}

export function ownChanges({ only, users }: GroupChanges): [userId: string, change: RememberedChange][] {
  if (users) return [...users];
  const userId = only?.userIds[0];
  return only && userId !== undefined ? [[userId, only]] : [];
}

export function setOwnChange(group: GroupChanges, userId: string, change: RememberedChange): void {
  const isOnly = !group.users && (!group.only || group.only.userIds[0] === userId);
  if (isOnly && change.userIds.length === 1) {
    group.only = change;
    return;
  }
  group.users ??= new Map(ownChanges(group));
  group.only = undefined;
  group.users.set(userId, change);
}

export function deleteOwnChange(group: GroupChanges, userId: string): void {
  if (ownChange(group, userId) === group.only) group.only = undefined;
  group.users?.delete(userId);
}
