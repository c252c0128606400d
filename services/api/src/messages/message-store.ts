import type { JsonObject, Message } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';

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

export interface NewMessage {
  id: string;
  groupId: string;
  seq: number;
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

export async function insertMessage(tx: Queryable, message: NewMessage): Promise<void> {
  await tx.query(
    `insert into messages (id, group_id, seq, sender_id, content, attachments, client_message_id, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      message.id,
      message.groupId,
      message.seq,
      message.senderId,
      message.content,
      message.attachments ? JSON.stringify(message.attachments) : null,
      message.clientMessageId ?? null,
      message.createdAt,
    ],
  );
}

/** The message this sender sent to this group under this id before, deleted or not. */
export async function findByClientId(
  q: Queryable,
  groupId: string,
  senderId: string,
  clientMessageId: string,
): Promise<MessageRow | undefined> {
  const { rows } = await q.query<MessageRow>(
    'select * from messages where group_id = $1 and sender_id = $2 and client_message_id = $3',
    [groupId, senderId, clientMessageId],
  );
  return rows[0];
}

/** A page by `seq`, exclusive on both sides, newest last. Without `after` it is the newest page below `before`. */
export async function readPage(
  q: Queryable,
  groupId: string,
  page: { before?: number | undefined; after?: number | undefined; limit: number },
): Promise<MessageRow[]> {
  const forward = page.after !== undefined;
  const { rows } = await q.query<MessageRow>(
    `select * from messages where group_id = $1 and seq > $2 and ($3::bigint is null or seq < $3) and deleted_at is null
     order by seq ${forward ? 'asc' : 'desc'} limit $4`,
    [groupId, page.after ?? 0, page.before ?? null, page.limit],
  );
  return forward ? rows : rows.toReversed();
}

/** Locked until the transaction ends. */
export async function lockMessage(tx: Queryable, groupId: string, messageId: string): Promise<MessageRow | undefined> {
  const { rows } = await tx.query<MessageRow>(
    'select * from messages where id = $1 and group_id = $2 and deleted_at is null for update',
    [messageId, groupId],
  );
  return rows[0];
}

/** Takes the text out of the history as well: a deleted message leaves its place, not its words. */
export async function eraseMessage(tx: Queryable, groupId: string, messageId: string, seq: number): Promise<void> {
  await tx.query(`update messages set content = '', attachments = null, deleted_at = now() where id = $1`, [messageId]);
  await tx.query(
    `update events set payload = (payload - 'attachments') || '{"content": "", "deleted": true}'
     where group_id = $1 and (seq = $2 or (type = 'message-updated' and payload ->> 'messageId' = $3))`,
    [groupId, seq, messageId],
  );
}
