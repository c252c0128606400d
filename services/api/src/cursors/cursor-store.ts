import type { CursorUpdates, Position } from '@groupcast/shared';
import type { Database, Queryable } from '../db/database.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import { headOf } from '../events/history-rows.ts';
import { readSeqOf, unreadAbove } from './unread.ts';

/** Most members of a group in which each of them is shown how far the others are. In larger ones senders are told numbers. */
export const MAX_NAMED_MEMBERS = 100;

/** How far a member of a group has moved their cursors, each from one `seq` up to another. One that has not moved has the same twice. */
export interface MovedCursors {
  groupId: string;
  userId: string;
  received: readonly [from: number, to: number];
  read: readonly [from: number, to: number];
}

export interface MarkedRead {
  readSeq: number;
  unreadCount: number;
  position: Position;
  memberCount: number;
  /** Where the cursor was before. */
  readFrom: number;
}

/**
 * Moves the member's read cursor forward, at most to the group's head; an older `seq` changes nothing. `position` is where the
 * group stood when its unread messages were counted.
 */
export async function markRead(
  db: Database,
  input: { groupId: string; userId: string; seq: number },
): Promise<MarkedRead> {
  const { groupId, userId, seq } = input;
  const { rows } = await db.query<{ read_seq: number; read_from: number }>(
    `update group_members m set read_seq = greatest(m.read_seq, least($3, ${headOf('g')}))
     from groups g join group_members old on old.group_id = g.id and old.user_id = $2
     where g.id = m.group_id and g.deleted_at is null and m.group_id = $1 and m.user_id = $2
     returning ${readSeqOf('m')} as read_seq, old.read_seq as read_from`,
    [groupId, userId, seq],
  );
  const row = rows[0];
  if (!row) throw groupNotFound(groupId);
  const counted = await db.query<{ epoch: string; seq: number; count: number; member_count: number }>(
    `select g.epoch, ${headOf('g')} as seq, g.member_count, ${unreadAbove('g', 'own.read_seq')} as count
     from groups g join group_members m on m.group_id = g.id and m.user_id = $3
     cross join lateral (select greatest($2::bigint, ${readSeqOf('m')}) as read_seq) own
     where g.id = $1`,
    [groupId, row.read_seq, userId],
  );
  const {
    epoch,
    seq: head,
    count,
    member_count,
  } = counted.rows[0] ?? { epoch: '0-none', seq: 0, count: 0, member_count: 0 };
  return {
    readSeq: row.read_seq,
    unreadCount: count,
    position: { epoch, seq: head },
    memberCount: member_count,
    readFrom: row.read_from,
  };
}

interface StoredRow extends Record<string, unknown> {
  group_id: string;
  member_count: number;
  head: number;
  /** A user who is not a member. */
  stranger: string | null;
  user_id: string | null;
  received_from: number;
  received_to: number;
  read_from: number;
  read_to: number;
}

export interface StoredCursors {
  /** The number of members of each group. */
  memberCounts: Map<string, number>;
  /** Where each group stands. */
  heads: Map<string, number>;
  /** Of each group the users who are no members of it: nothing was stored of them. */
  strangers: Map<string, string[]>;
  /** In groups with more than `MAX_NAMED_MEMBERS`. */
  moved: MovedCursors[];
}

/**
 * Moves many members' cursors forward in one statement, each at most to its group's head. Older values change nothing, and neither do
 * cursors of users who are no longer members.
 */
export async function storeCursors(q: Queryable, updates: CursorUpdates['cursors']): Promise<StoredCursors> {
  const column = (name: 'received' | 'applied' | 'read'): number[] => updates.map((update) => update[name] ?? 0);
  // The selected rows are as they were before the update.
  const { rows } = await q.query<StoredRow>(
    `with u as materialized (
       select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
         as u (group_id, user_id, received, applied, read)
     ), g as materialized (
       select found.* from (select distinct group_id from u) asked cross join lateral (
         select g.id, g.member_count, ${headOf('g')} as head from groups g where g.id = asked.group_id limit 1
       ) found
     ), stored as (
       update group_members m set
         received_seq = greatest(m.received_seq, least(u.received, g.head)),
         applied_seq = greatest(m.applied_seq, least(u.applied, g.head)),
         read_seq = greatest(m.read_seq, least(u.read, g.head))
       from u join g on g.id = u.group_id
       where m.group_id = u.group_id and m.user_id = u.user_id
       returning m.group_id, m.user_id
     )
     select g.id as group_id, g.member_count, g.head, null as stranger, old.* from g left join lateral (
       select u.user_id, m.received_seq as received_from, least(u.received, g.head) as received_to,
         m.read_seq as read_from, least(u.read, g.head) as read_to
       from u cross join lateral (
         select received_seq, read_seq from group_members where group_id = g.id and user_id = u.user_id limit 1) m
       where u.group_id = g.id and g.member_count > ${MAX_NAMED_MEMBERS}
     ) old on true
     union all
     select g.id, g.member_count, g.head, u.user_id, null, null, null, null, null from u join g on g.id = u.group_id
     where (u.group_id, u.user_id) not in (select group_id, user_id from stored)`,
    [
      updates.map(({ groupId }) => groupId),
      updates.map(({ userId }) => userId),
      column('received'),
      column('applied'),
      column('read'),
    ],
  );
  const strangers = new Map<string, string[]>();
  for (const { group_id, stranger } of rows) {
    if (stranger === null) continue;
    const known = strangers.get(group_id);
    if (known) known.push(stranger);
    else strangers.set(group_id, [stranger]);
  }
  return {
    strangers,
    memberCounts: new Map(rows.map(({ group_id, member_count }) => [group_id, member_count])),
    heads: new Map(rows.map(({ group_id, head }) => [group_id, head])),
    moved: rows.flatMap(({ group_id: groupId, user_id: userId, ...row }) =>
      userId === null
        ? []
        : [
            {
              groupId,
              userId,
              received: [row.received_from, row.received_to],
              read: [row.read_from, row.read_to],
            } satisfies MovedCursors,
          ],
    ),
  };
}
