import type { Message } from '@groupcast/shared';
import { readSeqOf, unreadAbove } from '../cursors/unread.ts';
import type { Queryable } from '../db/database.ts';
import { readPageWithin, type Sized } from '../db/page-budget.ts';
import { timeKey } from '../db/time-key.ts';
import { activityOf, headOf, MESSAGE_SIZE } from '../events/history-rows.ts';
import { type SenderRow, senderOf } from '../events/sender.ts';
import type { GroupRow } from '../groups/group-store.ts';
import type { PageCursor } from '../http/page-cursor.ts';
import { type MessageColumns, toMessage } from '../messages/message-store.ts';

interface ListedFields extends GroupRow {
  unread_count: number;
  read_seq: number;
  /** The time at which the group was last active, as a page's cursor has it: UTC, to the microsecond. */
  active_key: string;
}

export interface ListedGroup extends ListedFields {
  last: Message | null;
}

/** The last message has columns of its own: as JSON, its row would be written and read a second time. */
const LAST_COLUMNS = `message.id as last_id, message.seq as last_seq, sender_id as last_sender_id, content as last_content,
  attachments as last_attachments, client_message_id as last_client_message_id, message.kind as last_kind,
  message.custom as last_custom, message.created_at as last_created_at, updated_at as last_updated_at`;
type LastColumns = { [Field in keyof Omit<MessageColumns, 'group_id'> as `last_${Field}`]: MessageColumns[Field] };
type ListedRow = ListedFields & Sized & SenderRow & (LastColumns | Record<keyof LastColumns, null>);

interface Place extends Record<string, unknown> {
  id: string;
  active_key: string;
}

/** The user's groups in the order of the list. It looks at each of them, so a page asks for it once. */
async function readOrder(q: Queryable, userId: string, after: PageCursor | undefined, limit: number): Promise<Place[]> {
  const { rows } = await q.query<Place>(
    `with mine as materialized (
       select g.id, ${activityOf('g')} as active_at from group_members m cross join lateral (
         select id, created_at from groups where id = m.group_id and deleted_at is null limit 1) g
       where m.user_id = $1
     )
     select id, ${timeKey('active_at')} as active_key from (
       select id, active_at from mine where $2::text is null or (active_at, id) < ($2::text::timestamptz, $3)
       order by active_at desc, id desc limit $4
     ) page order by active_at desc, id desc`,
    [userId, after?.timeKey ?? null, after?.id ?? null, limit],
  );
  return rows;
}

function lastOf(row: ListedRow): Message | null {
  if (row.last_id === null) return null;
  const { sender_name, sender_picture, sender_custom, epoch } = row;
  const fields: MessageColumns = {
    id: row.last_id,
    group_id: row.id,
    seq: row.last_seq,
    sender_id: row.last_sender_id,
    content: row.last_content,
    attachments: row.last_attachments,
    client_message_id: row.last_client_message_id,
    kind: row.last_kind,
    custom: row.last_custom,
    created_at: row.last_created_at,
    updated_at: row.last_updated_at,
  };
  return toMessage({ ...fields, sender_name, sender_picture, sender_custom }, epoch);
}

/**
 * One page of the user's groups with what a list shows, without a round trip per group. Last messages and the application's fields count into the page's bytes. It belongs in one
 * snapshot.
 */
export async function listGroups(
  q: Queryable,
  userId: string,
  after: PageCursor | undefined,
  limit: number,
): Promise<{ rows: ListedGroup[]; more: boolean }> {
  const places = await readOrder(q, userId, after, limit + 1);
  const { rows, more } = await readPageWithin<ListedRow>({ limit }, async ({ last, count, maxBytes }) => {
    const from = last ? places.findIndex(({ id }) => id === last.id) + 1 : 0;
    const asked = places.slice(from, from + count);
    if (asked.length === 0) return [];
    // Without an offset, the read cursor and the messages would be looked up wherever they are used.
    const chunk = await q.query<ListedRow>(
      `select * from (
         select *, sum(bytes) over (order by place) - bytes as ahead from (
           select g.id, g.kind, g.name, g.created_at, g.epoch, ${headOf('g', 'newest.seq')} as seq, g.member_count, g.floor_seq,
             g.retention_days, g.custom, own.read_seq, ${unreadAbove('g', 'own.read_seq', 'newest.ordinal')} as unread_count,
             place.active_key, place.place, last.*, coalesce(last_bytes + coalesce(sender_bytes, 0), 0) + coalesce(octet_length(g.custom::text), 0) as bytes
           from unnest($2::text[], $3::text[]) with ordinality as place (id, active_key, place)
           cross join lateral (select * from groups where id = place.id limit 1) g
           cross join lateral (select ${readSeqOf('m')} as read_seq from (
             select * from group_members where group_id = place.id and user_id = $1 limit 1) m offset 0) own
           left join lateral (select * from messages where group_id = g.id order by seq desc limit 1 offset 0) newest on true
           left join lateral (
             select ${LAST_COLUMNS}, ${MESSAGE_SIZE} as last_bytes, sender.* from (
               select newest.* where newest.deleted_at is null
               union all (select * from messages where group_id = g.id and newest.deleted_at is not null and deleted_at is null
                 order by seq desc limit 1)
             ) message ${senderOf('message.sender_id')} where message.id is not null offset 0) last on true
           offset 0
         ) listed
       ) page where ahead <= $4 order by place`,
      [userId, asked.map(({ id }) => id), asked.map(({ active_key: key }) => key), maxBytes],
    );
    return chunk.rows;
  });
  return { rows: rows.map((row) => ({ ...row, last: lastOf(row) })), more };
}
