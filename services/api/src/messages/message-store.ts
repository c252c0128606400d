import type { JsonObject, Message, Position } from '@groupcast/shared';
import { isNotNullViolation, type Queryable } from '../db/database.ts';
import { readPageWithin, type Sized } from '../db/page-budget.ts';

export interface MessageRow extends Record<string, unknown> {
  id: string;
  group_id: string;
  seq: number;
  sender_id: string;
  content: string;
  attachments: JsonObject[] | null;
  client_message_id: string | null;
  created_at: Date;
  updated_at: Date | null;
}

/** Named, because a prepared statement fails where `*` becomes more while it is in use. */
const COLUMNS = 'id, group_id, seq, sender_id, content, attachments, client_message_id, created_at, updated_at';

export interface NewMessage {
  id: string;
  groupId: string;
  senderId: string;
  content: string;
  attachments?: JsonObject[] | undefined;
  clientMessageId?: string | undefined;
  createdAt: Date;
}

/** The epoch is the group's: positions of the whole history move with it. */
export function toMessage(row: MessageRow, epoch: string): Message {
  return {
    id: row.id,
    groupId: row.group_id,
    epoch,
    seq: row.seq,
    senderId: row.sender_id,
    content: row.content,
    createdAt: row.created_at.toISOString(),
    ...(row.client_message_id === null ? {} : { clientMessageId: row.client_message_id }),
    ...(row.attachments === null ? {} : { attachments: row.attachments }),
    ...(row.updated_at === null ? {} : { updatedAt: row.updated_at.toISOString() }),
  };
}

/**
 * Takes the group's next position and writes the message, its event and the sender's read cursor there, in one statement: all of it
 * or nothing. Answers `undefined` where there is no such group, or the sender is not in it.
 *
 * The group's row is locked first and the sender's row after it, as a removal takes them: it comes before this message or after it.
 * A sender who is not a member leaves `sender_id` null; the NOT NULL constraint rejects the insert, and the position is not taken.
 */
export async function saveMessage(q: Queryable, message: NewMessage, payload: string): Promise<Position | undefined> {
  try {
    const { rows } = await q.query<{ epoch: string; seq: number }>(
      `with place as (
         update groups set seq = seq + 1, active_at = now() where id = $1 and deleted_at is null returning epoch, seq
       ), sender as (
         update group_members m set read_seq = place.seq from place where m.group_id = $1 and m.user_id = $2
         returning m.user_id
       ), message as (
         insert into messages (group_id, seq, id, sender_id, content, attachments, client_message_id, created_at)
         select $1, place.seq, $3, sender.user_id, $4, $5, $6, $7 from place left join sender on true
       ), event as (
         insert into events (group_id, seq, id, type, payload) select $1, seq, $3, 'new-message', $8 from place
       )
       select epoch, seq from place`,
      [
        message.groupId,
        message.senderId,
        message.id,
        message.content,
        message.attachments ? JSON.stringify(message.attachments) : null,
        message.clientMessageId ?? null,
        message.createdAt,
        payload,
      ],
    );
    return rows[0];
  } catch (error) {
    if (isNotNullViolation(error, 'sender_id')) return undefined;
    throw error;
  }
}

/** The message this sender sent to this group under this id before, deleted or not. */
export async function findByClientId(
  q: Queryable,
  groupId: string,
  senderId: string,
  clientMessageId: string,
): Promise<MessageRow | undefined> {
  const { rows } = await q.query<MessageRow>(
    `select ${COLUMNS} from messages where group_id = $1 and sender_id = $2 and client_message_id = $3`,
    [groupId, senderId, clientMessageId],
  );
  return rows[0];
}

/**
 * A page by `seq`, exclusive on both sides, newest last. Without `after` it is the newest page below `before`. `more`: the page ends
 * before the messages do, by its limit or by its bytes.
 */
export async function readPage(
  q: Queryable,
  groupId: string,
  page: { before?: number | undefined; after?: number | undefined; limit: number },
): Promise<{ rows: MessageRow[]; more: boolean }> {
  const forward = page.after !== undefined;
  const order = forward ? 'asc' : 'desc';
  const { rows, more } = await readPageWithin<MessageRow & Sized>(page, async ({ last, count, maxBytes }) => {
    const [after, before] = forward
      ? [last?.seq ?? page.after ?? 0, page.before ?? null]
      : [page.after ?? 0, last?.seq ?? page.before ?? null];
    const chunk = await q.query<MessageRow & Sized>(
      `select ${COLUMNS}, bytes from (
         select *, sum(bytes) over (order by seq ${order}) - bytes as ahead from (
           select ${COLUMNS}, octet_length(content) + coalesce(octet_length(attachments::text), 0) as bytes
           from messages where group_id = $1 and seq > $2 and ($3::bigint is null or seq < $3) and deleted_at is null
           order by seq ${order} limit $4
         ) sized
       ) page where ahead <= $5 order by seq ${order}`,
      [groupId, after, before, count, maxBytes],
    );
    return chunk.rows;
  });
  return { rows: forward ? rows : rows.toReversed(), more };
}

/** Reads a message and locks it until the transaction ends. */
export async function lockMessage(tx: Queryable, groupId: string, messageId: string): Promise<MessageRow | undefined> {
  const { rows } = await tx.query<MessageRow>(
    `select ${COLUMNS} from messages where id = $1 and group_id = $2 and deleted_at is null for update`,
    [messageId, groupId],
  );
  return rows[0];
}

export async function updateContent(tx: Queryable, messageId: string, content: string, updatedAt: Date): Promise<void> {
  await tx.query('update messages set content = $2, updated_at = $3 where id = $1', [messageId, content, updatedAt]);
}

/** Takes the text out of the history as well: a deleted message leaves its position, and not its content. */
export async function eraseMessage(tx: Queryable, groupId: string, messageId: string, seq: number): Promise<void> {
  await tx.query(`update messages set content = '', attachments = null, deleted_at = now() where id = $1`, [messageId]);
  await tx.query(
    `update events set payload = (payload - 'attachments') || '{"content": "", "deleted": true}'
     where group_id = $1 and (seq = $2 or (type = 'message-updated' and payload ->> 'messageId' = $3))`,
    [groupId, seq, messageId],
  );
}
