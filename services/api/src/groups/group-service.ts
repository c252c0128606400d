import { randomUUID } from 'node:crypto';
import { type Group, GroupcastError, type GroupSummary, makeEpoch, type Position } from '@groupcast/shared';
import { type Database, isUniqueViolation, type Queryable, snapshot } from '../db/database.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import { type NewEvent, nextPosition, type OutboxWriter } from '../outbox/outbox-store.ts';
import { insertMembers, listGroups, lockGroup, readGroupAs, toGroup } from './group-store.ts';
import { readCursor, writeCursor } from './list-cursor.ts';

export interface GroupDeps {
  db: Database;
  dispatcher: Pick<Dispatcher, 'wake' | 'whenDispatched'>;
  outbox: OutboxWriter;
}

/** How long a change of members waits for live connections to follow, in milliseconds. */
const APPLY_TIMEOUT_MS = 2_000;

type EventWithoutId = Omit<NewEvent, 'id'>;

async function record({ outbox }: GroupDeps, tx: Queryable, groupId: string, event: EventWithoutId): Promise<Position> {
  const position = await nextPosition(tx, groupId);
  await outbox.append(tx, groupId, position.seq, { ...event, id: randomUUID() });
  return position;
}

/** Creates a group, its creator the owner; a direct group is found where the two have one already. */
export async function createGroup(
  deps: GroupDeps,
  input: { userId: string; name?: string | undefined; kind: Group['kind']; memberIds: readonly string[]; id?: string },
): Promise<{ group: Group; created: boolean }> {
  const { db, dispatcher } = deps;
  const others = [...new Set(input.memberIds)].filter((id) => id !== input.userId);
  const directKey = input.kind === 'direct' ? JSON.stringify([input.userId, ...others].toSorted()) : null;
  if (directKey !== null && others.length !== 1) {
    throw new GroupcastError(
      'INVALID_PAYLOAD',
      'unable to create the group; a direct group has exactly one other member',
    );
  }
  const id = input.id ?? randomUUID();
  try {
    const group = await db.transaction(async (tx) => {
      const { rows } = await tx.query<{ created_at: Date }>(
        'insert into groups (id, kind, name, direct_key, epoch) values ($1, $2, $3, $4, $5) returning created_at',
        [id, input.kind, input.name ?? null, directKey, makeEpoch(1, randomUUID().slice(0, 8))],
      );
      await insertMembers(tx, id, [input.userId], 'owner');
      await insertMembers(tx, id, others, 'member');
      const userIds = [input.userId, ...others];
      const payload = { name: input.name ?? null, kind: input.kind, userIds };
      const { epoch, seq } = await record(deps, tx, id, { type: 'group-created', payload, effect: { add: userIds } });
      const created_at = rows[0]?.created_at ?? new Date();
      return toGroup(tx, { id, kind: input.kind, name: input.name ?? null, created_at, epoch, seq });
    });
    dispatcher.wake(id);
    return { group, created: true };
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    const { rows } = await db.query<{ id: string }>('select id from groups where direct_key = $1 or id = $2', [
      directKey,
      id,
    ]);
    return { group: await getGroup(deps, { userId: input.userId, groupId: rows[0]?.id ?? id }), created: false };
  }
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
    await deps.outbox.append(tx, groupId, seq, {
      id: randomUUID(),
      type: 'group-deleted',
      payload: { userId },
      effect: { remove },
    });
    await tx.query('update groups set deleted_at = now(), direct_key = null where id = $1', [groupId]);
  });
  deps.dispatcher.wake(groupId);
}

/** `applied`: live connections have followed. When false they will, in the order of the group's events. */
export async function addMembers(
  deps: GroupDeps,
  input: { userId: string; groupId: string; userIds: readonly string[] },
): Promise<{ group: Group; applied: boolean }> {
  const { groupId, userId } = input;
  const { group, seq } = await deps.db.transaction(async (tx) => {
    await lockGroup(tx, groupId);
    const row = await readGroupAs(tx, groupId, userId);
    assertGroupKind(row.kind, 'add members to');
    assertOwner(row.role, 'add members');
    const added = await insertMembers(tx, groupId, input.userIds, 'member');
    if (added.length === 0) return { group: await toGroup(tx, row), seq: row.seq };
    const position = await record(deps, tx, groupId, {
      type: 'member-added',
      payload: { userIds: added, addedBy: userId },
      effect: { add: added },
    });
    return { group: await toGroup(tx, { ...row, ...position }), seq: position.seq };
  });
  deps.dispatcher.wake(groupId);
  return { group, applied: await deps.dispatcher.whenDispatched(groupId, seq, APPLY_TIMEOUT_MS) };
}

/** Owners remove anybody, and everybody may leave. */
export async function removeMember(
  deps: GroupDeps,
  input: { userId: string; groupId: string; memberId: string },
): Promise<{ applied: boolean }> {
  const { groupId, userId, memberId } = input;
  const seq = await deps.db.transaction(async (tx) => {
    const position = await nextPosition(tx, groupId);
    const row = await readGroupAs(tx, groupId, userId);
    assertGroupKind(row.kind, 'remove members from');
    if (memberId !== userId) assertOwner(row.role, 'remove members');
    const { rows } = await tx.query<{ role: string }>(
      'delete from group_members where group_id = $1 and user_id = $2 returning role',
      [groupId, memberId],
    );
    if (rows.length === 0)
      throw new GroupcastError('NOT_FOUND', `unable to remove "${memberId}"; not a member of the group`);
    if (rows[0]?.role === 'owner') await passOwnership(tx, groupId);
    await deps.outbox.append(tx, groupId, position.seq, {
      id: randomUUID(),
      type: 'member-removed',
      payload: { userIds: [memberId], removedBy: userId },
      effect: { remove: [memberId] },
    });
    return position.seq;
  });
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

/** A page of the user's groups, and where the next one begins. It ends before its limit where it has as many bytes as it may. */
export async function listGroupsOf(
  { db }: GroupDeps,
  input: { userId: string; cursor?: string | undefined; limit: number },
): Promise<{ groups: GroupSummary[]; nextCursor?: string }> {
  const after = input.cursor === undefined ? undefined : readCursor(input.cursor);
  const { rows, more } = await snapshot(db, async (tx) => listGroups(tx, input.userId, after, input.limit));
  const last = rows.at(-1);
  const groups = rows.map((row) => ({
    id: row.id,
    name: row.name,
    kind: row.kind,
    createdAt: row.created_at.toISOString(),
    position: { epoch: row.epoch, seq: row.seq },
    memberCount: row.member_count,
    unreadCount: row.unread_count,
    readSeq: row.read_seq,
    lastMessage: row.last,
  }));
  return { groups, ...(more && last ? { nextCursor: writeCursor({ activeKey: last.active_key, id: last.id }) } : {}) };
}

function assertGroupKind(kind: Group['kind'], what: string): void {
  if (kind === 'direct')
    throw new GroupcastError('FORBIDDEN', `unable to ${what} a direct group; its two members are fixed`);
}

function assertOwner(role: string, what: string): void {
  if (role !== 'owner') throw new GroupcastError('FORBIDDEN', `unable to ${what}; only an owner may`);
}

/** The group's demo twin of an invitation: whoever is let in becomes a member, once. */
export async function joinOpenGroup(deps: GroupDeps, groupId: string, userId: string): Promise<void> {
  await deps.db.transaction(async (tx) => {
    await lockGroup(tx, groupId);
    const added = await insertMembers(tx, groupId, [userId], 'member');
    if (added.length === 0) return;
    await record(deps, tx, groupId, {
      type: 'member-added',
      payload: { userIds: added, addedBy: userId },
      effect: { add: added },
    });
  });
  deps.dispatcher.wake(groupId);
}
