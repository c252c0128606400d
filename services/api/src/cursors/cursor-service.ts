import type { Database } from '../db/database.ts';
import { groupNotFound } from '../groups/group-store.ts';

/** Moves the member's read cursor forward, at most to the group's head; an older `seq` changes nothing. */
export async function markRead(
  db: Database,
  input: { groupId: string; userId: string; seq: number },
): Promise<{ readSeq: number; unreadCount: number }> {
  const { groupId, userId, seq } = input;
  const { rows } = await db.query<{ read_seq: number }>(
    `update group_members m set read_seq = greatest(m.read_seq, least($3, g.seq)) from groups g
     where g.id = m.group_id and g.deleted_at is null and m.group_id = $1 and m.user_id = $2 returning m.read_seq`,
    [groupId, userId, seq],
  );
  const row = rows[0];
  if (!row) throw groupNotFound(groupId);
  const unread = await db.query<{ count: number }>(
    `select count(*)::int as count from messages
     where group_id = $1 and seq > $2 and sender_id <> $3 and deleted_at is null`,
    [groupId, row.read_seq, userId],
  );
  return { readSeq: row.read_seq, unreadCount: unread.rows[0]?.count ?? 0 };
}
