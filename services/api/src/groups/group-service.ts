import { randomUUID } from 'node:crypto';
import { type Group, GroupcastError, makeEpoch, type Position } from '@groupcast/shared';
import { type Database, isUniqueViolation, type Queryable } from '../db/database.ts';
import { type EventWriter, type NewEvent, nextPosition } from '../events/event-store.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import type { InvitePolicy } from '../limits.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import type { GroupLimits } from './group-limits.ts';
import { insertMembers, isMember, lockGroup, outsidersAmong, readGroupAs, toGroup } from './group-store.ts';
import { contactsAmong, forgetInvitations, insertInvitations, takeInvitation } from './invitation-store.ts';

export interface GroupDeps {
  db: Database;
  dispatcher: Pick<Dispatcher, 'wake' | 'whenDispatched'>;
  events: EventWriter;
  limits: GroupLimits;
  invites: InvitePolicy;
}

/** How long a change of members waits for live connections to follow, in milliseconds. */
export const APPLY_TIMEOUT_MS = 2_000;

type EventWithoutId = Omit<NewEvent, 'id'>;

async function record({ events }: GroupDeps, tx: Queryable, groupId: string, event: EventWithoutId): Promise<Position> {
  const position = await nextPosition(tx, groupId);
  await events.append(tx, groupId, position.seq, { ...event, id: randomUUID() });
  return position;
}

/** Whom of these people `userId` may put into a group, and who has to be asked. Throws where either is too much. */
async function sortOut(
  { limits, invites }: GroupDeps,
  tx: Queryable,
  userId: string,
  people: readonly string[],
): Promise<{ members: string[]; invited: string[] }> {
  await limits.countChanges(tx, userId, people.length);
  const known =
    invites === 'contacts' ? await contactsAmong(tx, userId, people) : new Set(invites === 'open' ? people : []);
  const members = people.filter((id) => known.has(id));
  const invited = people.filter((id) => !known.has(id));
  if (members.length > 0) await limits.assertPairs(tx, userId, members);
  if (invited.length > 0) await limits.assertInvitations(tx, userId, invited);
  return { members, invited };
}

/** Named where there are any: people who were asked, and are no members yet. */
const withInvited = (invited: readonly string[]): { invited?: string[] } =>
  invited.length > 0 ? { invited: [...invited] } : {};

/**
 * Creates a group, its creator the owner; a direct group is found where the two have one already. `invited` are those who have to accept
 * first.
 */
export async function createGroup(
  deps: GroupDeps,
  input: { userId: string; name?: string | undefined; kind: Group['kind']; memberIds: readonly string[]; id?: string },
): Promise<{ group: Group; created: boolean; invited?: string[] }> {
  const { db, dispatcher } = deps;
  const { userId, kind } = input;
  const others = [...new Set(input.memberIds)].filter((id) => id !== userId);
  const directKey = kind === 'direct' ? JSON.stringify([userId, ...others].toSorted()) : null;
  if (directKey !== null && others.length !== 1) {
    throw new GroupcastError(
      'INVALID_PAYLOAD',
      'unable to create the group; a direct group has exactly one other member',
    );
  }
  const id = input.id ?? randomUUID();
  try {
    const { group, invited } = await db.transaction(async (tx) => {
      const { rows } = await tx.query<{ created_at: Date }>(
        `insert into groups (id, kind, name, direct_key, epoch, created_by) values ($1, $2, $3, $4, $5, $6)
         returning created_at`,
        [id, kind, input.name ?? null, directKey, makeEpoch(1, randomUUID().slice(0, 8)), userId],
      );
      await deps.limits.countGroup(tx, userId);
      const sorted = await sortOut(deps, tx, userId, others);
      await insertMembers(tx, id, [userId], 'owner', null);
      await deps.limits.assertRoom(tx, id, sorted.members.length);
      await insertMembers(tx, id, sorted.members, 'member', userId);
      await insertInvitations(tx, id, sorted.invited, userId);
      const userIds = [userId, ...sorted.members];
      const payload = { name: input.name ?? null, kind, userIds };
      const { epoch, seq } = await record(deps, tx, id, { type: 'group-created', payload, effect: { add: userIds } });
      const created_at = rows[0]?.created_at ?? new Date();
      return {
        group: await toGroup(tx, { id, kind, name: input.name ?? null, created_at, epoch, seq }),
        invited: sorted.invited,
      };
    });
    dispatcher.wake(id);
    return { group, created: true, ...withInvited(invited) };
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    const { rows } = await db.query<{ id: string }>('select id from groups where direct_key = $1 or id = $2', [
      directKey,
      id,
    ]);
    const groupId = rows[0]?.id ?? id;
    if (directKey !== null) await enterDirect(deps, groupId, userId);
    return { group: await getGroup(deps, { userId, groupId }), created: false };
  }
}

/** One of the two of a direct group asks for it who was only invited so far, or has declined: asking is accepting. */
async function enterDirect(deps: GroupDeps, groupId: string, userId: string): Promise<void> {
  const isNew = await deps.db.transaction(async (tx) => {
    if (!(await lockGroup(tx, groupId)) || (await isMember(tx, groupId, userId))) return false;
    const invitedBy = await takeInvitation(tx, groupId, userId);
    await letIn(deps, tx, groupId, userId, invitedBy ?? userId);
    return true;
  });
  if (isNew) deps.dispatcher.wake(groupId);
}

/** Makes somebody a member by their own wish, unless they are one. The group is locked. */
export async function letIn(
  deps: GroupDeps,
  tx: Queryable,
  groupId: string,
  userId: string,
  addedBy: string,
): Promise<void> {
  const added = await insertMembers(tx, groupId, [userId], 'member', null);
  if (added.length === 0) return;
  const payload = { userIds: added, addedBy };
  await record(deps, tx, groupId, { type: 'member-added', payload, effect: { add: added } });
}

export async function getGroup({ db }: GroupDeps, input: { userId: string; groupId: string }): Promise<Group> {
  return db.transaction(async (tx) => toGroup(tx, await readGroupAs(tx, input.groupId, input.userId)));
}

export async function renameGroup(
  deps: GroupDeps,
  input: { userId: string; groupId: string; name: string },
): Promise<Group> {
  const { groupId, userId, name } = input;
  const group = await deps.db.transaction(async (tx) => {
    await record(deps, tx, groupId, { type: 'group-updated', payload: { name, userId } });
    const row = await readGroupAs(tx, groupId, userId);
    assertGroupKind(row.kind, 'rename');
    assertOwner(row.role, 'rename the group');
    await tx.query('update groups set name = $2 where id = $1', [groupId, name]);
    return toGroup(tx, { ...row, name });
  });
  deps.dispatcher.wake(groupId);
  return group;
}

/** The group is gone for everybody; its live connections leave it after they were told. */
export async function deleteGroup(deps: GroupDeps, input: { userId: string; groupId: string }): Promise<void> {
  const { groupId, userId } = input;
  await deps.db.transaction(async (tx) => {
    const { seq } = await nextPosition(tx, groupId);
    const row = await readGroupAs(tx, groupId, userId);
    if (row.kind === 'group') assertOwner(row.role, 'delete the group');
    const { members } = await toGroup(tx, row);
    const remove = members.map((member) => member.userId);
    await deps.events.append(tx, groupId, seq, {
      id: randomUUID(),
      type: 'group-deleted',
      payload: { userId },
      effect: { remove, everyone: true },
    });
    await tx.query('update groups set deleted_at = now(), direct_key = null where id = $1', [groupId]);
  });
  deps.dispatcher.wake(groupId);
}

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
    const sorted = await sortOut(deps, tx, userId, people);
    await deps.limits.assertRoom(tx, groupId, sorted.members.length);
    await insertInvitations(tx, groupId, sorted.invited, userId);
    const added = await insertMembers(tx, groupId, sorted.members, 'member', userId);
    if (added.length === 0) return { group: await toGroup(tx, row), seq: row.seq, invited: sorted.invited };
    await forgetInvitations(tx, groupId, added);
    const position = await record(deps, tx, groupId, {
      type: 'member-added',
      payload: { userIds: added, addedBy: userId },
      effect: { add: added },
    });
    return { group: await toGroup(tx, { ...row, ...position }), seq: position.seq, invited: sorted.invited };
  });
  deps.dispatcher.wake(groupId);
  const applied = await deps.dispatcher.whenDispatched(groupId, seq, APPLY_TIMEOUT_MS);
  return { group, applied, ...withInvited(invited) };
}

/** Owners remove anybody, and everybody may leave. An owner also takes back an invitation so. */
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
    const { rows } = await tx.query<{ role: string }>(
      'delete from group_members where group_id = $1 and user_id = $2 returning role',
      [groupId, memberId],
    );
    if (rows.length === 0)
      throw new GroupcastError('NOT_FOUND', `unable to remove "${memberId}"; not a member of the group`);
    if (rows[0]?.role === 'owner') await passOwnership(tx, groupId);
    const position = await nextPosition(tx, groupId);
    await deps.events.append(tx, groupId, position.seq, {
      id: randomUUID(),
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

/** A group keeps an owner while it has members: the one who has been there longest. */
async function passOwnership(tx: Queryable, groupId: string): Promise<void> {
  await tx.query(
    `update group_members set role = 'owner' where group_id = $1 and user_id = (
       select user_id from group_members where group_id = $1 order by joined_at, user_id limit 1)
     and not exists (select 1 from group_members where group_id = $1 and role = 'owner')`,
    [groupId],
  );
}

function assertGroupKind(kind: Group['kind'], what: string): void {
  if (kind === 'direct')
    throw new GroupcastError('FORBIDDEN', `unable to ${what} a direct group; its two members are fixed`);
}

function assertOwner(role: string, what: string): void {
  if (role !== 'owner') throw new GroupcastError('FORBIDDEN', `unable to ${what}; only an owner may`);
}

/** For a group that is open to everybody, which the demo has: whoever asks becomes a member, once. */
export async function joinOpenGroup(deps: GroupDeps, groupId: string, userId: string): Promise<void> {
  await deps.db.transaction(async (tx) => {
    await lockGroup(tx, groupId);
    await letIn(deps, tx, groupId, userId, userId);
  });
  deps.dispatcher.wake(groupId);
}
