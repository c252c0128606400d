import { type Group, GroupcastError } from '@groupcast/shared';
import { lockGroup } from '../events/event-store.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import {
  APPLY_TIMEOUT_MS,
  assertGroupKind,
  assertOwner,
  type GroupDeps,
  recordEvent,
  splitByPolicy,
  withInvited,
} from './group-changes.ts';
import { readGroupAs, toGroup } from './group-store.ts';
import { forgetInvitations, insertInvitations, takeInvitation } from './invitation-store.ts';
import { deleteMember, insertMembers, isMember, outsidersAmong, passOwnership } from './member-store.ts';

/**
 * `applied`: live connections have followed. When false they will, in the order of the group's events. `invited` are those who have to
 * accept first.
 */
export async function addMembers(
  deps: GroupDeps,
  input: { userId: string; groupId: string; userIds: readonly string[] },
): Promise<{ group: Group; applied: boolean; invited?: string[] }> {
  const { groupId, userId } = input;
  const { group, seq, invited } = await deps.db.transaction(async (tx) => {
    await lockGroup(tx, groupId);
    const row = await readGroupAs(tx, groupId, userId);
    assertGroupKind(row.kind, 'add members to');
    assertOwner(row.role, 'add members');
    const people = await outsidersAmong(tx, groupId, input.userIds);
    const sorted = await splitByPolicy(deps, tx, userId, people);
    await deps.limits.assertRoom(tx, groupId, sorted.members.length);
    await insertInvitations(tx, groupId, sorted.invited, userId);
    const added = await insertMembers(tx, groupId, sorted.members, 'member', userId);
    if (added.length === 0) return { group: await toGroup(tx, row), seq: row.seq, invited: sorted.invited };
    await forgetInvitations(tx, groupId, added);
    const position = await recordEvent(deps, tx, groupId, {
      type: 'member-added',
      payload: { userIds: added, addedBy: userId },
      effect: { add: added },
    });
    const member_count = row.member_count + added.length;
    return {
      group: await toGroup(tx, { ...row, ...position, member_count }),
      seq: position.seq,
      invited: sorted.invited,
    };
  });
  deps.dispatcher.wake(groupId);
  const applied = await deps.dispatcher.whenDispatched(groupId, seq, APPLY_TIMEOUT_MS);
  return { group, applied, ...withInvited(invited) };
}

/** Owners remove anybody, and everybody may leave. Removing somebody who is only invited takes back the invitation. */
export async function removeMember(
  deps: GroupDeps,
  input: { userId: string; groupId: string; memberId: string },
): Promise<{ applied: boolean }> {
  const { groupId, userId, memberId } = input;
  const seq = await deps.db.transaction(async (tx) => {
    if (!(await lockGroup(tx, groupId))) throw groupNotFound(groupId);
    const row = await readGroupAs(tx, groupId, userId);
    assertGroupKind(row.kind, 'remove members from');
    if (memberId !== userId) assertOwner(row.role, 'remove members');
    await deps.limits.countChanges(tx, userId, 1);
    const wasInvited = (await takeInvitation(tx, groupId, memberId)) !== undefined;
    if (wasInvited && !(await isMember(tx, groupId, memberId))) return undefined;
    const role = await deleteMember(tx, groupId, memberId);
    if (role === undefined)
      throw new GroupcastError('NOT_FOUND', `unable to remove "${memberId}"; not a member of the group`);
    if (role === 'owner') await passOwnership(tx, groupId);
    const position = await recordEvent(deps, tx, groupId, {
      type: 'member-removed',
      payload: { userIds: [memberId], removedBy: userId },
      effect: { remove: [memberId] },
    });
    return position.seq;
  });
  if (seq === undefined) return { applied: true };
  deps.dispatcher.wake(groupId);
  return { applied: await deps.dispatcher.whenDispatched(groupId, seq, APPLY_TIMEOUT_MS) };
}
