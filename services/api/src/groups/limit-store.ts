import type { Queryable } from '../db/database.ts';

/** Adds to what the user has used of an hourly bound, over all processes. Answers the sum, and the milliseconds until it begins anew. */
export async function spendInHour(
  tx: Queryable,
  { userId, kind, amount }: { userId: string; kind: string; amount: number },
): Promise<{ used: number; leftMs: number }> {
  const { rows } = await tx.query<{ used: number; left_ms: number }>(
    `insert into user_rates as r (user_id, kind, hour, used)
     values ($1, $2, to_timestamp(floor(extract(epoch from now()) / 3600) * 3600), $3)
     on conflict (user_id, kind) do update set
       used = case when r.hour = excluded.hour then r.used else 0 end + excluded.used, hour = excluded.hour
     returning used, (extract(epoch from hour + interval '1 hour' - now()) * 1000)::float8 as left_ms`,
    [userId, kind, amount],
  );
  const row = rows[0];
  return { used: row?.used ?? 0, leftMs: Math.max(1, Math.ceil(row?.left_ms ?? 0)) };
}

/** Groups that the user has created and that are not deleted; it looks at no more than `max`. */
export async function countGroupsBy(tx: Queryable, userId: string, max: number): Promise<number> {
  const { rows } = await tx.query('select 1 from groups where created_by = $1 and deleted_at is null limit $2', [
    userId,
    max,
  ]);
  return rows.length;
}

export async function countMembers(tx: Queryable, groupId: string): Promise<number> {
  const { rows } = await tx.query<{ count: number }>('select member_count as count from groups where id = $1', [
    groupId,
  ]);
  return rows[0]?.count ?? 0;
}

/** The users among `people` whom `userId` has put into at least `groups` groups in which they have never acted. */
export async function findUnanswering(
  tx: Queryable,
  userId: string,
  people: readonly string[],
  groups: number,
): Promise<string[]> {
  const { rows } = await tx.query<{ user_id: string }>(
    `select m.user_id from group_members m join groups g on g.id = m.group_id and g.deleted_at is null
     where m.added_by = $1 and m.user_id = any($2::text[]) and m.read_seq = 0
     group by m.user_id having count(*) >= $3 order by m.user_id`,
    [userId, [...people], groups],
  );
  return rows.map(({ user_id }) => user_id);
}

/** The users among `people` who have at least `invitations` unanswered invitations by `userId`. */
export async function findMuchInvited(
  tx: Queryable,
  userId: string,
  people: readonly string[],
  invitations: number,
): Promise<string[]> {
  const { rows } = await tx.query<{ user_id: string }>(
    `select i.user_id from group_invitations i join groups g on g.id = i.group_id and g.deleted_at is null
     where i.invited_by = $1 and i.user_id = any($2::text[])
     group by i.user_id having count(*) >= $3 order by i.user_id`,
    [userId, [...people], invitations],
  );
  return rows.map(({ user_id }) => user_id);
}
