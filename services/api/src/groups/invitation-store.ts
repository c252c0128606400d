import type { Group } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';

/** Most invitations that one user has at a time. */
const MAX_PER_USER = 100;

export interface Invitation {
  groupId: string;
  name: string | null;
  kind: Group['kind'];
  memberCount: number;
  invitedBy: string;
  createdAt: string;
}

/**
 * Invites people, once each. Where one of them has too many invitations, one is dropped: one to a deleted group, or else the oldest by the
 * user who has invited them most often, so that no user's invitations push out those of others.
 */
export async function insertInvitations(
  tx: Queryable,
  groupId: string,
  userIds: readonly string[],
  invitedBy: string,
): Promise<void> {
  if (userIds.length === 0) return;
  // Everybody inserts in the same order, so that two users who invite the same people do not wait for each other.
  const people = userIds.toSorted();
  await tx.query(
    `insert into group_invitations (group_id, user_id, invited_by) select $1, u, $3 from unnest($2::text[]) as u
     on conflict do nothing`,
    [groupId, people, invitedBy],
  );
  const { rows } = await tx.query<{ user_id: string }>(
    `select user_id from group_invitations where user_id = any($1::text[])
     group by user_id having count(*) > $2 order by user_id`,
    [people, MAX_PER_USER],
  );
  for (const { user_id } of rows) await makeRoom(tx, user_id);
}

async function makeRoom(tx: Queryable, userId: string): Promise<void> {
  await tx.query('select 1 from group_invitations where user_id = $1 order by group_id for update', [userId]);
  await tx.query(
    `delete from group_invitations i using (
       select c.group_id, row_number() over (
         order by g.deleted_at is not null, c.of_inviter, c.created_at desc, c.group_id) as place
       from (select *, count(*) over (partition by invited_by) as of_inviter
             from group_invitations where user_id = $1) c join groups g on g.id = c.group_id
     ) ranked where ranked.place > $2 and i.user_id = $1 and i.group_id = ranked.group_id`,
    [userId, MAX_PER_USER],
  );
}

/** Newest first. */
export async function readInvitations(q: Queryable, userId: string): Promise<Invitation[]> {
  const { rows } = await q.query<{
    group_id: string;
    name: string | null;
    kind: Group['kind'];
    member_count: number;
    invited_by: string;
    created_at: Date;
  }>(
    `select i.group_id, g.name, g.kind, i.invited_by, i.created_at, g.member_count
     from group_invitations i join groups g on g.id = i.group_id
     where i.user_id = $1 and g.deleted_at is null order by i.created_at desc, i.group_id limit $2`,
    [userId, MAX_PER_USER],
  );
  return rows.map((row) => ({
    groupId: row.group_id,
    name: row.name,
    kind: row.kind,
    memberCount: row.member_count,
    invitedBy: row.invited_by,
    createdAt: row.created_at.toISOString(),
  }));
}

/** Deletes the invitation. Answers the id of the inviting user, or `undefined` where there was none. */
export async function takeInvitation(q: Queryable, groupId: string, userId: string): Promise<string | undefined> {
  const { rows } = await q.query<{ invited_by: string }>(
    'delete from group_invitations where group_id = $1 and user_id = $2 returning invited_by',
    [groupId, userId],
  );
  return rows[0]?.invited_by;
}

/** Deletes the invitations of users who have become members. */
export async function forgetInvitations(tx: Queryable, groupId: string, userIds: readonly string[]): Promise<void> {
  await tx.query('delete from group_invitations where group_id = $1 and user_id = any($2::text[])', [
    groupId,
    [...userIds],
  ]);
}

/**
 * The contacts of `userId` among `people`: users who have themselves acted in a group that both are in. They created it, joined by
 * themselves, or have read or sent something there.
 */
export async function contactsAmong(q: Queryable, userId: string, people: readonly string[]): Promise<Set<string>> {
  const { rows } = await q.query<{ user_id: string }>(
    `select distinct m.user_id from group_members m
     join group_members mine on mine.group_id = m.group_id and mine.user_id = $1
     join groups g on g.id = m.group_id and g.deleted_at is null
     where m.user_id = any($2::text[]) and (m.added_by is null or m.read_seq > 0)`,
    [userId, [...people]],
  );
  return new Set(rows.map(({ user_id }) => user_id));
}
