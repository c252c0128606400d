import type { Message } from '@groupcast/shared';
import { readSeqOf, unreadAbove } from '../cursors/unread.ts';
import type { Queryable } from '../db/database.ts';
import { readPageWithin, type Sized } from '../db/page-budget.ts';
import { timeKey } from '../db/time-key.ts';
import { activityOf, headOf } from '../events/history-rows.ts';
import type { GroupRow } from '../groups/group-store.ts';
import type { PageCursor } from '../http/page-cursor.ts';
import { type MessageRow, toMessage } from '../messages/message-store.ts';

interface ListedFields extends GroupRow {
  unread_count: number;
  read_seq: number;
  /** The time at which the group was last active, as a page's cursor has it: UTC, to the microsecond. */
  active_key: string;
}

export interface ListedGroup extends ListedFields {
  last: Message | null;
}

interface ListedRow extends ListedFields, Sized {
  last: LastRow | null;
}

/** One page of the user's groups with what a list shows, without a round trip per group. Last messages count into the page's bytes. */
export async function listGroups(
  q: Queryable,
  userId: string,
  after: PageCursor | undefined,
  limit: number,
): Promise<{ rows: ListedGroup[]; more: boolean }> {
  const { rows, more } = await readPageWithin<ListedRow>({ limit }, async ({ last, count, maxBytes }) => {
    const from = last ? { timeKey: last.active_key, id: last.id } : after;
    const chunk = await q.query<ListedRow>(
      `with mine as materialized (
         select g.*, m.user_id, m.read_seq, ${activityOf('g')} as active_at from group_members m cross join lateral (
           select * from groups where id = m.group_id and deleted_at is null limit 1) g
         where m.user_id = $1
       )
       select * from (
         select *, sum(bytes) over (order by place) - bytes as ahead from (
           select listed.*, coalesce(octet_length(last::text), 0) as bytes from (
             select g.id, g.kind, g.name, g.created_at, g.epoch, g.seq, g.member_count, g.floor_seq, g.retention_days,
               own.read_seq, ${unreadAbove('g', 'own.read_seq')} as unread_count, ${timeKey('g.active_at')} as active_key,
               row_number() over (order by g.active_at desc, g.id desc) as place,
               (select to_jsonb(l) from (select * from messages l where l.group_id = g.id and l.deleted_at is null
                  order by l.seq desc limit 1) l) as last
             from (
               select g.*, ${headOf('g')} as seq from mine g
               where $2::text is null or (g.active_at, g.id) < ($2::text::timestamptz, $3)
               order by g.active_at desc, g.id desc limit $4
             ) g cross join lateral (select ${readSeqOf('m')} as read_seq from (
               select g.id as group_id, g.user_id, g.read_seq) m) own
           ) listed
         ) sized
       ) page where ahead <= $5 order by place`,
      [userId, from?.timeKey ?? null, from?.id ?? null, count, maxBytes],
    );
    return chunk.rows;
  });
  return { rows: rows.map((row) => ({ ...row, last: row.last && toMessage(fromJson(row.last), row.epoch) })), more };
}

/** A message row that came through `to_jsonb`: its times are text. */
type LastRow = Omit<MessageRow, 'created_at' | 'updated_at'> & { created_at: string; updated_at: string | null };

function fromJson(row: LastRow): MessageRow {
  return {
    ...(row as Omit<MessageRow, 'created_at' | 'updated_at'>),
    created_at: new Date(row.created_at),
    updated_at: row.updated_at ? new Date(row.updated_at) : null,
  } as MessageRow;
}
