import { type Group, type GroupMember } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { groupNotFound } from '../events/group-not-found.ts';

export interface GroupRow extends Record<string, unknown> {
  id: string;
  kind: Group['kind'];
  name: string | null;
  created_at: Date;
  epoch: string;
  seq: number;
}

export type Role = GroupMember['role'];

/** The group and the user's role in it, in one snapshot. Throws `NOT_FOUND`. */
export async function readGroupAs(q: Queryable, groupId: string, userId: string): Promise<GroupRow & { role: Role }> {
  const { rows } = await q.query<GroupRow & { role: Role }>(
    `select g.id, g.kind, g.name, g.created_at, g.epoch, g.seq, m.role
     from groups g join group_members m on m.group_id = g.id and m.user_id = $2
     where g.id = $1 and g.deleted_at is null`,
    [groupId, userId],
  );
  const row = rows[0];
  if (!row) throw groupNotFound(groupId);
  return row;
}

export async function readMembers(q: Queryable, groupId: string): Promise<GroupMember[]> {
  const { rows } = await q.query<{ user_id: string; role: Role; name: string | null }>(
    `select m.user_id, m.role, u.name from group_members m left join users u on u.id = m.user_id
     where m.group_id = $1 order by m.joined_at, m.user_id`,
    [groupId],
  );
  return rows.map(({ user_id, role, name }) => ({ userId: user_id, role, ...(name ? { name } : {}) }));
}

export async function toGroup(q: Queryable, row: GroupRow): Promise<Group> {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    members: await readMembers(q, row.id),
    createdAt: row.created_at.toISOString(),
    position: { epoch: row.epoch, seq: row.seq },
  };
}

/**
 * Until the transaction ends, nobody else changes the group. Taken first, so that no two changes wait for each other. False: there is no
 * such group any more.
 */
export async function lockGroup(tx: Queryable, groupId: string): Promise<boolean> {
  const { rows } = await tx.query<{ deleted_at: Date | null }>(
    'select deleted_at from groups where id = $1 for update',
    [groupId],
  );
  return rows[0]?.deleted_at === null;
}

/** Adds those who are not members yet, and returns them. `addedBy`: null where they come by themselves. */
export async function insertMembers(
  q: Queryable,
  groupId: string,
  userIds: readonly string[],
  role: Role,
  addedBy: string | null,
): Promise<string[]> {
  const { rows } = await q.query<{ user_id: string }>(
    `insert into group_members (group_id, user_id, role, added_by) select $1, u, $3, $4 from unnest($2::text[]) as u
     on conflict do nothing returning user_id`,
    [groupId, [...userIds], role, addedBy],
  );
  return rows.map(({ user_id }) => user_id);
}

export async function isMember(q: Queryable, groupId: string, userId: string): Promise<boolean> {
  const { rows } = await q.query('select 1 from group_members where group_id = $1 and user_id = $2', [groupId, userId]);
  return rows.length > 0;
}

/** Those of `userIds` who are not members. */
export async function outsidersAmong(q: Queryable, groupId: string, userIds: readonly string[]): Promise<string[]> {
  const { rows } = await q.query<{ user_id: string }>(
    'select user_id from group_members where group_id = $1 and user_id = any($2::text[])',
    [groupId, [...userIds]],
  );
  const members = new Set(rows.map(({ user_id }) => user_id));
  return [...new Set(userIds)].filter((userId) => !members.has(userId));
}

/**
 * What a connection token names: the user's groups, most recently active first, but those in which the user has never read or said
 * anything, and into which others have put them, after all others. However many there are of these, they push out no other.
 */
export async function groupIdsOf(q: Queryable, userId: string, limit: number): Promise<string[]> {
  const { rows } = await q.query<{ id: string }>(
    `select g.id from group_members m join groups g on g.id = m.group_id
     where m.user_id = $1 and g.deleted_at is null
     order by (m.added_by is null or m.read_seq > 0) desc, g.active_at desc limit $2`,
    [userId, limit],
  );
  return rows.map(({ id }) => id);
}

/** Which of `groupIds` each user is a member of, in one query. */
export async function membershipsOf(
  q: Queryable,
  questions: readonly { userId: string; groupIds: readonly string[] }[],
): Promise<{ userId: string; groupIds: string[] }[]> {
  const pairs = questions.flatMap(({ userId, groupIds }) => groupIds.map((groupId) => [userId, groupId] as const));
  const { rows } = await q.query<{ user_id: string; group_id: string }>(
    `select m.user_id, m.group_id from unnest($1::text[], $2::text[]) as asked (user_id, group_id)
     join group_members m on m.user_id = asked.user_id and m.group_id = asked.group_id
     join groups g on g.id = m.group_id where g.deleted_at is null`,
    [pairs.map(([userId]) => userId), pairs.map(([, groupId]) => groupId)],
  );
  const found = new Map<string, Set<string>>();
  for (const { user_id, group_id } of rows) found.set(user_id, (found.get(user_id) ?? new Set()).add(group_id));
  return questions.map(({ userId, groupIds }) => ({
    userId,
    groupIds: groupIds.filter((groupId) => found.get(userId)?.has(groupId) === true),
  }));
}
