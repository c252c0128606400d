import { type GroupSummary, parseId } from '@groupcast/shared';
import { type Database, snapshot } from '../db/database.ts';
import { settingsOf } from '../groups/group-store.ts';
import { readCursor, writeCursor } from '../http/page-cursor.ts';
import { listGroups } from './group-list-store.ts';

/** Reads a page of the user's groups, and where the next one begins. It ends before its limit where it has reached its most bytes. */
export async function listGroupsOf(
  db: Database,
  input: { userId: string; cursor?: string | undefined; limit: number },
): Promise<{ groups: GroupSummary[]; nextCursor?: string }> {
  const after = input.cursor === undefined ? undefined : readCursor(input.cursor, parseId);
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
    ...settingsOf(row),
  }));
  return { groups, ...(more && last ? { nextCursor: writeCursor({ timeKey: last.active_key, id: last.id }) } : {}) };
}
