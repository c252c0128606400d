import type { Message } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { readPageWithin, type Sized } from '../db/page-budget.ts';
import type { GroupRow } from '../groups/group-store.ts';
import { type MessageRow, toMessage } from '../messages/message-store.ts';

interface ListedFields extends GroupRow {
  member_count: number;
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

/** The group after which a page of the list begins. */
export interface ListCursor {
  activeKey: string;
  id: string;
}

/** One page of the user's groups with what a list shows, without a round trip per group. Last messages count into the page's bytes. */
export async function listGroups(
  q: Queryable,
  userId: string,
  after: ListCursor | undefined,
  limit: number,
): Promise<{ rows: ListedGroup[]; more: boolean }> {
  const { rows, more } = await readPageWithin<ListedRow>({ limit }, async ({ last, count, maxBytes }) => {
    const from = last ? { activeKey: last.active_key, id: last.id } : after;
    const chunk = await q.query<ListedRow>(
      `select * from (
         select *, sum(bytes) over (order by place) - bytes as ahead from (
           select listed.*, coalesce(octet_length(last::text), 0) as bytes from (
             select g.id, g.kind, g.name, g.created_at, g.epoch, g.seq, m.read_seq,
               to_char(g.active_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as active_key,
               row_number() over (order by g.active_at desc, g.id desc) as place,
               (select count(*)::int from group_members c where c.group_id = g.id) as member_count,
               (select count(*)::int from messages u where u.group_id = g.id and u.seq > m.read_seq
                  and u.sender_id <> $1 and u.deleted_at is null) as unread_count,
               (select to_jsonb(l) from (select * from messages l where l.group_id = g.id and l.deleted_at is null
                  order by l.seq desc limit 1) l) as last
             from group_members m join groups g on g.id = m.group_id
             where m.user_id = $1 and g.deleted_at is null
               and ($2::text is null or (g.active_at, g.id) < ($2::text::timestamptz, $3))
             order by g.active_at desc, g.id desc limit $4
           ) listed
         ) sized
       ) page where ahead <= $5 order by place`,
      [userId, from?.activeKey ?? null, from?.id ?? null, count, maxBytes],
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
