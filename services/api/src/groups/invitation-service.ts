import { type Group, GroupcastError } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { lockGroup } from '../events/event-store.ts';
import { APPLY_TIMEOUT_MS, type GroupDeps, joinGroup } from './group-changes.ts';
import { readGroupAs, toGroup } from './group-store.ts';
import { type Invitation, readInvitations, takeInvitation } from './invitation-store.ts';

type Invited = { groupId: string; userId: string };

/** The same error for a group that does not exist and for one without an invitation. */
function noInvitation(groupId: string): GroupcastError {
  return new GroupcastError('NOT_FOUND', `unable to find an invitation to group "${groupId}"; there is none for you`);
}

export async function listInvitations({ db }: GroupDeps, input: { userId: string }): Promise<Invitation[]> {
  return readInvitations(db, input.userId);
}

/** Makes the invited user a member, as if added: the positioned event says by whom. Resolves like an addition. */
export async function acceptInvitation(deps: GroupDeps, input: Invited): Promise<{ group: Group; applied: boolean }> {
  const { groupId, userId } = input;
  const { group, seq } = await deps.db.transaction(async (tx) => {
    await lockLiveGroup(tx, groupId);
    const invitedBy = await takeInvitation(tx, groupId, userId);
    if (invitedBy === undefined) throw noInvitation(groupId);
    await deps.limits.countChanges(tx, userId, 1);
    await deps.limits.assertRoom(tx, groupId, 1);
    await joinGroup(deps, tx, groupId, { userId, addedBy: invitedBy });
    const row = await readGroupAs(tx, groupId, userId);
    return { group: await toGroup(tx, row), seq: row.seq };
  });
  deps.dispatcher.wake(groupId);
  return { group, applied: await deps.dispatcher.whenDispatched(groupId, seq, APPLY_TIMEOUT_MS) };
}

async function lockLiveGroup(tx: Queryable, groupId: string): Promise<void> {
  if (!(await lockGroup(tx, groupId))) throw noInvitation(groupId);
}

export async function declineInvitation({ db }: GroupDeps, { groupId, userId }: Invited): Promise<void> {
  if ((await takeInvitation(db, groupId, userId)) === undefined) throw noInvitation(groupId);
}
