import type { GroupMember } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { timeKey } from '../db/time-key.ts';
import { shownOf } from '../events/sender.ts';
import type { PageCursor } from '../http/page-cursor.ts';

export type Role = GroupMember['role'];

/** Most members that an answer about a group has with it; the others come by pages. */
export const MEMBERS_IN_GROUP = 100;

/** A page of members by the time they joined, and where the next one begins. */
export async function readMembers(
  q: Queryable,
  groupId: string,
  page: { limit: number; after?: PageCursor | undefined },
): Promise<{ rows: GroupMember[]; next?: PageCursor }> {
  const { limit, after } = page;
  const { rows } = await q.query<{ user_id: string; role: Role; name: string | null; joined_key: string }>(
    `select m.user_id, m.role, ${timeKey('m.joined_at')} as joined_key,
       (select ${shownOf('name', 'u')} from users u where u.id = m.user_id) as name
     from group_members m
     where m.group_id = $1 and (m.joined_at, m.user_id) > ($2::text::timestamptz, $3)
     order by m.joined_at, m.user_id limit $4`,
    // Where the first page begins there is a value too: a plan that must do for none as well reads all members before the page.
    [groupId, after?.timeKey ?? '-infinity', after?.id ?? '', limit + 1],
  );
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return {
    rows: shown.map(({ user_id, role, name }) => ({ userId: user_id, role, ...(name ? { name } : {}) })),
    ...(last ? { next: { timeKey: last.joined_key, id: last.user_id } } : {}),
  };
}

/** The ids of the first members, `limit` at most. */
export async function memberIdsOf(q: Queryable, groupId: string, limit: number): Promise<string[]> {
  const { rows } = await q.query<{ user_id: string }>(
    'select user_id from group_members where group_id = $1 order by user_id limit $2',
    [groupId, limit],
  );
  return rows.map(({ user_id }) => user_id);
}

/**
 * Adds the users who are not members yet, and returns their ids. `addedBy` is null where they join by themselves. A group's first owner
 * has joined before those who are added in the same transaction, whose time is the same: the first page of members has the owner.
 */
export async function insertMembers(
  q: Queryable,
  groupId: string,
  userIds: readonly string[],
  role: Role,
  addedBy: string | null,
): Promise<string[]> {
  const { rows } = await q.query<{ user_id: string }>(
    `with added as (
       insert into group_members (group_id, user_id, role, added_by, joined_at)
       select $1, u, $3::text, $4, case when $3::text = 'owner' then now() - interval '1 microsecond' else now() end
       from unnest($2::text[]) as u
       on conflict do nothing returning user_id
     ), counted as (
       update groups set member_count = member_count + (select count(*) from added)
       where id = $1 and exists (select 1 from added)
     )
     select user_id from added`,
    [groupId, [...userIds], role, addedBy],
  );
  return rows.map(({ user_id }) => user_id);
}

export async function isMember(q: Queryable, groupId: string, userId: string): Promise<boolean> {
  const { rows } = await q.query('select 1 from group_members where group_id = $1 and user_id = $2', [groupId, userId]);
  return rows.length > 0;
}

/** The users among `userIds` who are not members. */
export async function outsidersAmong(q: Queryable, groupId: string, userIds: readonly string[]): Promise<string[]> {
  const { rows } = await q.query<{ user_id: string }>(
    'select user_id from group_members where group_id = $1 and user_id = any($2::text[])',
    [groupId, [...userIds]],
  );
  const members = new Set(rows.map(({ user_id }) => user_id));
  return [...new Set(userIds)].filter((userId) => !members.has(userId));
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

/** Answers the role that the member had, or `undefined` where there was no such member. */
export async function deleteMember(tx: Queryable, groupId: string, userId: string): Promise<Role | undefined> {
  const { rows } = await tx.query<{ role: Role }>(
    `with removed as (
       delete from group_members where group_id = $1 and user_id = $2 returning role
     ), counted as (
       update groups set member_count = member_count - 1 where id = $1 and exists (select 1 from removed)
     )
     select role from removed`,
    [groupId, userId],
  );
  return rows[0]?.role;
}

/** Makes the member who has been there longest the owner, unless the group has an owner: it keeps one while it has members. */
export async function passOwnership(tx: Queryable, groupId: string): Promise<void> {
  await tx.query(
    `update group_members set role = 'owner' where group_id = $1 and user_id = (
       select user_id from group_members where group_id = $1 order by joined_at, user_id limit 1)
     and not exists (select 1 from group_members where group_id = $1 and role = 'owner')`,
    [groupId],
  );
}
