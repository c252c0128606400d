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
import { findExisting, insertGroup, markGroupDeleted, readGroupAs, toGroup, writeSettings } from './group-store.ts';
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

/** A group as it is to be, checked. */
interface WantedGroup extends Omit<GroupInput, 'memberIds' | 'id' | 'name' | 'custom'> {
  id: string;
  /** The other members, each once. */
  others: readonly string[];
  name: string | null;
  custom: JsonObject | null;
  /** Of a direct group, the same for the same two users. */
  directKey: string | null;
}

function readWanted(input: GroupInput): WantedGroup {
  const { userId, kind, custom = null, name = null } = input;
  assertCustomFits(custom);
  const others = [...new Set(input.memberIds)].filter((id) => id !== userId);
  if (kind === 'direct' && others.length !== 1) {
    throw new GroupcastError(
      'INVALID_PAYLOAD',
      'unable to create the group; a direct group has exactly one other member',
    );
  }
  const directKey = kind === 'direct' ? JSON.stringify([userId, ...others].toSorted()) : null;
  return { id: input.id ?? randomUUID(), userId, kind, others, name, custom, directKey };
}

/** How often a group is created or found: one that is found may be deleted before it is read. */
const ATTEMPTS = 2;

/**
 * Creates a group, its creator the owner; a direct group is found where the two have one already, and a group with an id of the application's
 * own where the same user has created it before. Throws `CONFLICT` where somebody else has a group of this id. `invited` are those who have
 * to accept first.
 */
export async function createGroup(
  deps: GroupDeps,
  input: GroupInput,
): Promise<{ group: Group; created: boolean; invited?: string[] }> {
  const wanted = readWanted(input);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const made = await makeGroup(deps, wanted);
    if (made) return { group: made.group, created: true, ...withInvited(made.invited) };
    const group = await openExisting(deps, wanted);
    if (group) return { group, created: false };
  }
  const why = 'the one that is there is being deleted and created again';
  throw new GroupcastError('CONFLICT', `unable to create the group; ${why}`, { retryable: true });
}

/** Creates the group. Answers `undefined` where there is one with this id, or of the same two users. */
async function makeGroup(
  deps: GroupDeps,
  wanted: WantedGroup,
): Promise<{ group: Group; invited: string[] } | undefined> {
  const { id, userId, kind, others, name, custom, directKey } = wanted;
  try {
    const made = await deps.db.transaction(async (tx) => {
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
      const { members, invited } = await splitByPolicy(deps, tx, userId, others);
      await insertMembers(tx, id, [userId], 'owner', null);
      await deps.limits.assertRoom(tx, id, members.length);
      await insertMembers(tx, id, members, 'member', userId);
      await insertInvitations(tx, id, invited, userId);
      const userIds = [userId, ...members];
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
      return { group: await toGroup(tx, row), invited };
    });
    deps.dispatcher.wake(id);
    return made;
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    return undefined;
  }
}

/** Finds the group that is there already. Answers `undefined` where it has gone, and throws `CONFLICT` where it is not the user's to find. */
async function openExisting(deps: GroupDeps, { id, userId, kind, directKey }: WantedGroup): Promise<Group | undefined> {
  const existing = await findExisting(deps.db, { id, directKey });
  if (!existing) return undefined;
  if (existing.is_theirs) return enterDirect(deps, existing.id, userId);
  const isOwn = existing.created_by === userId && existing.kind === kind && !existing.is_deleted;
  const group = isOwn ? await findGroup(deps, { userId, groupId: id }) : undefined;
  if (group) return group;
  throw new GroupcastError('CONFLICT', `unable to create the group; there is another one with the id "${id}"`);
}

/**
 * The direct group as the user sees it, who becomes a member where they were only invited so far, or have declined: asking for the group is
 * accepting. Answers `undefined` where it was deleted meanwhile.
 */
async function enterDirect(deps: GroupDeps, groupId: string, userId: string): Promise<Group | undefined> {
  const entered = await deps.db.transaction(async (tx) => {
    if (!(await lockGroup(tx, groupId))) return undefined;
    const isNew = !(await isMember(tx, groupId, userId));
    if (isNew) {
      const invitedBy = await takeInvitation(tx, groupId, userId);
      await joinGroup(deps, tx, groupId, { userId, addedBy: invitedBy ?? userId });
    }
    return { isNew, group: await toGroup(tx, await readGroupAs(tx, groupId, userId)) };
  });
  if (entered?.isNew) deps.dispatcher.wake(groupId);
  return entered?.group;
}

/** Like `getGroup`, but `undefined` where there is no such group, or the user is not in it. */
async function findGroup(deps: GroupDeps, input: { userId: string; groupId: string }): Promise<Group | undefined> {
  try {
    return await getGroup(deps, input);
  } catch (error) {
    if (error instanceof GroupcastError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
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
