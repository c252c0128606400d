import type { CursorUpdates, Position } from '@groupcast/shared';
import type { Database } from '../db/database.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import { headOf } from '../events/history-rows.ts';
import { readSeqOf, unreadAbove } from './unread.ts';

/**
 * Moves the member's read cursor forward, at most to the group's head; an older `seq` changes nothing. `position` is where the
 * group stood when its unread messages were counted.
 */
export async function markRead(
  db: Database,
  input: { groupId: string; userId: string; seq: number },
): Promise<{ readSeq: number; unreadCount: number; position: Position }> {
  const { groupId, userId, seq } = input;
  const { rows } = await db.query<{ read_seq: number }>(
    `update group_members m set read_seq = greatest(m.read_seq, least($3, ${headOf('g')})) from groups g
     where g.id = m.group_id and g.deleted_at is null and m.group_id = $1 and m.user_id = $2
     returning ${readSeqOf('m')} as read_seq`,
    [groupId, userId, seq],
  );
  const row = rows[0];
  if (!row) throw groupNotFound(groupId);
  const counted = await db.query<{ epoch: string; seq: number; count: number }>(
    `select g.epoch, ${headOf('g')} as seq, ${unreadAbove('g', 'own.read_seq')} as count
     from groups g join group_members m on m.group_id = g.id and m.user_id = $3
     cross join lateral (select greatest($2::bigint, ${readSeqOf('m')}) as read_seq) own
     where g.id = $1`,
    [groupId, row.read_seq, userId],
  );
  const { epoch, seq: head, count } = counted.rows[0] ?? { epoch: '0-none', seq: 0, count: 0 };
  return { readSeq: row.read_seq, unreadCount: count, position: { epoch, seq: head } };
}

/**
 * Moves many members' cursors forward in one statement, each at most to its group's head. Older values change nothing, and neither do
 * cursors of users who are no longer members.
 */
export async function storeCursors(db: Database, updates: CursorUpdates['cursors']): Promise<void> {
  const column = (name: 'received' | 'applied' | 'read'): number[] => updates.map((update) => update[name] ?? 0);
  await db.query(
    `update group_members m set
       received_seq = greatest(m.received_seq, least(u.received, g.head)),
       applied_seq = greatest(m.applied_seq, least(u.applied, g.head)),
       read_seq = greatest(m.read_seq, least(u.read, g.head))
     from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
       as u (group_id, user_id, received, applied, read)
     cross join lateral (select ${headOf('g')} as head from groups g where g.id = u.group_id) g
     where m.group_id = u.group_id and m.user_id = u.user_id`,
    [
      updates.map(({ groupId }) => groupId),
      updates.map(({ userId }) => userId),
      column('received'),
      column('applied'),
      column('read'),
    ],
  );
}
