import { randomUUID } from 'node:crypto';
import {
  type Group,
  GroupcastError,
  type GroupMember,
  type JsonObject,
  makeEpoch,
  type Position,
  parseUserId,
} from '@groupcast/shared';
import { assertCustomFits } from '../db/custom.ts';
import { isUniqueViolation, snapshot } from '../db/database.ts';
import { lockGroup } from '../events/event-store.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import { readCursor, writeCursor } from '../http/page-cursor.ts';
import {
  assertGroupKind,
  assertOwner,
  type GroupDeps,
  joinGroup,
  recordEvent,
  splitByPolicy,
  withInvited,
} from './group-changes.ts';
import {
  type ExistingGroup,
  findExisting,
  insertGroup,
  markGroupDeleted,
  readGroupAs,
  toGroup,
  writeSettings,
} from './group-store.ts';
import { insertInvitations, takeInvitation } from './invitation-store.ts';
import { insertMembers, isMember, memberIdsOf, readMembers } from './member-store.ts';

/** Most members that the end of a group names, for a relay of an earlier version; relays of this one remove everybody. */
const MAX_NAMED = 10_000;

export interface GroupInput {
  userId: string;
  kind: Group['kind'];
  memberIds: readonly string[];
  name?: string | undefined;
  custom?: JsonObject | undefined;
  /** The application's own; without it one is made. */
  id?: string | undefined;
}

/**
 * Creates a group, its creator the owner; a direct group is found where the two have one already, and a group with an id of the application's
 * own where the same user has created it before. Throws `CONFLICT` where somebody else has a group of this id. `invited` are those who have
 * to accept first.
 */
export async function createGroup(
  deps: GroupDeps,
  input: GroupInput,
): Promise<{ group: Group; created: boolean; invited?: string[] }> {
  const { db, dispatcher } = deps;
  const { userId, kind, custom = null } = input;
  assertCustomFits(custom);
  const others = [...new Set(input.memberIds)].filter((id) => id !== userId);
  const directKey = kind === 'direct' ? JSON.stringify([userId, ...others].toSorted()) : null;
  if (directKey !== null && others.length !== 1) {
    throw new GroupcastError(
      'INVALID_PAYLOAD',
      'unable to create the group; a direct group has exactly one other member',
    );
  }
  const id = input.id ?? randomUUID();
  const name = input.name ?? null;
  try {
    const { group, invited } = await db.transaction(async (tx) => {
      const firstEpoch = makeEpoch(1, randomUUID().slice(0, 8));
      await lockGroup(tx, id);
      const created_at = await insertGroup(tx, {
        id,
        kind,
        name,
        directKey,
        epoch: firstEpoch,
        createdBy: userId,
        custom,
      });
      await deps.limits.countGroup(tx, userId);
      const sorted = await splitByPolicy(deps, tx, userId, others);
      await insertMembers(tx, id, [userId], 'owner', null);
      await deps.limits.assertRoom(tx, id, sorted.members.length);
      await insertMembers(tx, id, sorted.members, 'member', userId);
      await insertInvitations(tx, id, sorted.invited, userId);
      const userIds = [userId, ...sorted.members];
      const payload = { name, kind, userIds, ...(custom ? { custom } : {}) };
      const { epoch, seq } = await recordEvent(deps, tx, id, {
        type: 'group-created',
        payload,
        effect: { add: userIds },
      });
      const row = {
        id,
        kind,
        name,
        created_at,
        epoch,
        seq,
        member_count: userIds.length,
        floor_seq: 0,
        retention_days: null,
        custom,
      };
      return {
        group: await toGroup(tx, row),
        invited: sorted.invited,
      };
    });
    dispatcher.wake(id);
    return { group, created: true, ...withInvited(invited) };
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    const existing = await findExisting(db, { id, directKey });
    if (existing?.is_theirs) await enterDirect(deps, existing.id, userId);
    else await assertRepeated(deps, existing, { ...input, id });
    return { group: await getGroup(deps, { userId, groupId: existing?.id ?? id }), created: false };
  }
}

/** Throws `CONFLICT` unless the user has created this group before, and is still in it: creating it again finds it, as it is by now. */
async function assertRepeated(
  { db }: GroupDeps,
  existing: ExistingGroup | undefined,
  { id, userId, kind }: { id: string; userId: string; kind: Group['kind'] },
): Promise<void> {
  const isOwn = existing?.created_by === userId && existing.kind === kind && !existing.is_deleted;
  if (isOwn && (await isMember(db, id, userId))) return;
  throw new GroupcastError('CONFLICT', `unable to create the group; there is another one with the id "${id}"`);
}

/** Makes a user of a direct group a member who was only invited so far, or has declined: asking for the group is accepting. */
async function enterDirect(deps: GroupDeps, groupId: string, userId: string): Promise<void> {
  const isNew = await deps.db.transaction(async (tx) => {
    if (!(await lockGroup(tx, groupId)) || (await isMember(tx, groupId, userId))) return false;
    const invitedBy = await takeInvitation(tx, groupId, userId);
    await joinGroup(deps, tx, groupId, { userId, addedBy: invitedBy ?? userId });
    return true;
  });
  if (isNew) deps.dispatcher.wake(groupId);
}

export async function getGroup({ db }: GroupDeps, input: { userId: string; groupId: string }): Promise<Group> {
  return db.transaction(async (tx) => toGroup(tx, await readGroupAs(tx, input.groupId, input.userId)));
}

/** A page of members by the time they joined, where the next one begins, and the group's position at that moment. */
export async function listMembers(
  { db }: GroupDeps,
  input: { userId: string; groupId: string; cursor?: string | undefined; limit: number },
): Promise<{ members: GroupMember[]; memberCount: number; position: Position; nextCursor?: string }> {
  const after = input.cursor === undefined ? undefined : readCursor(input.cursor, parseUserId);
  return snapshot(db, async (tx) => {
    const { epoch, seq, member_count } = await readGroupAs(tx, input.groupId, input.userId);
    const { rows, next } = await readMembers(tx, input.groupId, { limit: input.limit, after });
    const position = { epoch, seq };
    return { members: rows, memberCount: member_count, position, ...(next ? { nextCursor: writeCursor(next) } : {}) };
  });
}

/** Changes what is given. `null` takes the group's own retention, or the application's fields, away. */
export async function updateGroup(
  deps: GroupDeps,
  input: {
    userId: string;
    groupId: string;
    name?: string | undefined;
    retentionDays?: number | null | undefined;
    custom?: JsonObject | null | undefined;
  },
): Promise<Group> {
  const { groupId, userId } = input;
  assertCustomFits(input.custom);
  const group = await deps.db.transaction(async (tx) => {
    if (!(await lockGroup(tx, groupId))) throw groupNotFound(groupId);
    const row = await readGroupAs(tx, groupId, userId);
    assertGroupKind(row.kind, 'change');
    assertOwner(row.role, 'change the group');
    const { name = row.name, retentionDays = row.retention_days, custom = row.custom } = input;
    await writeSettings(tx, groupId, { name, retentionDays, custom });
    const payload = {
      name,
      userId,
      ...(input.retentionDays === undefined ? {} : { retentionDays }),
      ...(input.custom === undefined ? {} : { custom }),
    };
    const position = await recordEvent(deps, tx, groupId, { type: 'group-updated', payload });
    return toGroup(tx, { ...row, ...position, name, retention_days: retentionDays, custom });
  });
  deps.dispatcher.wake(groupId);
  return group;
}

/** Deletes the group for everybody; live connections leave it after they were told. */
export async function deleteGroup(deps: GroupDeps, input: { userId: string; groupId: string }): Promise<void> {
  const { groupId, userId } = input;
  await deps.db.transaction(async (tx) => {
    if (!(await lockGroup(tx, groupId))) throw groupNotFound(groupId);
    const row = await readGroupAs(tx, groupId, userId);
    if (row.kind === 'group') assertOwner(row.role, 'delete the group');
    const remove = await memberIdsOf(tx, groupId, MAX_NAMED);
    await recordEvent(deps, tx, groupId, {
      type: 'group-deleted',
      payload: { userId },
      effect: { remove, everyone: true },
    });
    await markGroupDeleted(tx, groupId);
  });
  deps.dispatcher.wake(groupId);
}

/** Makes the user a member of a group that is open to everybody and owned by nobody, such as the demo's lobby. */
export async function joinOpenGroup(deps: GroupDeps, groupId: string, userId: string): Promise<void> {
  await deps.db.transaction(async (tx) => {
    await lockGroup(tx, groupId);
    await joinGroup(deps, tx, groupId, { userId, addedBy: userId, open: true });
  });
  deps.dispatcher.wake(groupId);
}
