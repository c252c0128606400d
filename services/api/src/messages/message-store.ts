import type { JsonObject, Message } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { readPageWithin, type Sized } from '../db/page-budget.ts';
import { type SenderRow, senderOf } from '../events/sender.ts';
import { messagePayload } from '../events/stored-event.ts';
import { savedWithSpans } from '../events/traceparent-store.ts';

export interface MessageColumns {
  id: string;
  group_id: string;
  seq: number;
  sender_id: string;
  content: string;
  attachments: JsonObject[] | null;
  client_message_id: string | null;
  kind: string | null;
  custom: JsonObject | null;
  created_at: Date;
  updated_at: Date | null;
}
export interface MessageRow extends MessageColumns, SenderRow, Record<string, unknown> {}

/** Named, because a prepared statement fails where `*` becomes more while it is in use. */
const COLUMNS =
  'm.id, group_id, seq, sender_id, content, attachments, client_message_id, kind, m.custom, created_at, updated_at';
const SENDER_COLUMNS = 'sender_name, sender_picture, sender_custom';
const MESSAGES = `messages m ${senderOf('m.sender_id')}`;

export interface NewMessage {
  id: string;
  groupId: string;
  senderId: string;
  content: string;
  attachments?: JsonObject[] | undefined;
  clientMessageId?: string | undefined;
  kind?: string | undefined;
  custom?: JsonObject | undefined;
  /** The way by which it came, of a client that sends by both: the same message by the other way is no second one. */
  way?: Way | undefined;
  /** The span in which it is saved, where that is traced. */
  traceparent?: string | undefined;
}

export type Way = 'socket' | 'http';

/** The epoch is the group's: positions of the whole history move with it. */
export function toMessage(row: MessageRow, epoch: string): Message {
  const payload = messagePayload({
    ...row,
    kind: row.kind ?? undefined,
    custom: row.custom ?? undefined,
    senderId: row.sender_id,
    content: row.content,
    createdAt: row.created_at,
    clientMessageId: row.client_message_id ?? undefined,
    attachments: row.attachments ?? undefined,
    updatedAt: row.updated_at ?? undefined,
  });
  return { id: row.id, groupId: row.group_id, epoch, seq: row.seq, ...payload };
}

export type SaveOutcome =
  | { kind: 'saved'; epoch: string; seq: number; createdAt: Date; sender: SenderRow }
  /** The sender has sent it to this group before, deleted or not, at `seq`: one with this `clientMessageId`, or a copy by the other way. */
  | { kind: 'known'; epoch: string; seq: number }
  /** There is no such group, or the sender is not in it. */
  | { kind: 'absent' }
  /** Another transaction has locked the group, and the call was not to wait for it. */
  | { kind: 'busy' };

interface SavedRow extends SenderRow, Record<string, unknown> {
  place: number;
  outcome: 'saved' | 'known' | 'absent';
  epoch: string;
  seq: number;
  created_at: Date;
}

function toOutcome(row: SavedRow | undefined): SaveOutcome {
  if (!row) return { kind: 'busy' };
  const { outcome, epoch, seq, created_at: createdAt } = row;
  switch (outcome) {
    case 'saved':
      return { kind: 'saved', epoch, seq, createdAt, sender: row };
    case 'known':
      return { kind: 'known', epoch, seq };
    case 'absent':
      return { kind: 'absent' };
    default:
      return outcome satisfies never;
  }
}

/** Within which time the same message by the other way is a copy, and within which time a copy with a client id may be repeated. */
const COPIES_WITHIN = '10 seconds';
const REPEATED_WITHIN = '1 day';

/**
 * Saves messages, each at the next position of its group, in one statement: all of them or, where it throws, none. Every group is locked first,
 * as a removal locks it: a removal comes before the message or after it. No two messages may have the same group, sender and
 * client id; with `pairsCopies`, nor the same group, sender and content, where they have a `way`. Answers in their order.
 */
export async function saveMessages(
  q: Queryable,
  messages: readonly NewMessage[],
  options: { waits: boolean; pairsCopies?: boolean },
): Promise<SaveOutcome[]> {
  const fields = [
    options.waits,
    messages.map(({ groupId }) => groupId),
    messages.map(({ senderId }) => senderId),
    messages.map(({ id }) => id),
    messages.map(({ clientMessageId }) => clientMessageId ?? null),
    messages.map(({ content }) => content),
    messages.map(({ attachments }) => (attachments ? JSON.stringify(attachments) : null)),
    messages.map(({ kind }) => kind ?? null),
    messages.map(({ custom }) => (custom ? JSON.stringify(custom) : null)),
  ];
  // Copies have a way, and a repeated one of them has a client id.
  const mayBeCopies = messages.some(({ way, clientMessageId }) => (way ?? clientMessageId) !== undefined);
  const ofCopies = [messages.map(({ way }) => way ?? null), COPIES_WITHIN, REPEATED_WITHIN];
  const [call, params] =
    options.pairsCopies && mayBeCopies
      ? ['select * from save_copies($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)', [...fields, ...ofCopies]]
      : ['select * from save_messages($1, $2, $3, $4, $5, $6, $7, $8, $9)', fields];
  const isTraced = messages.some(({ traceparent }) => traceparent !== undefined);
  const { rows } = isTraced
    ? await q.query<SavedRow>(savedWithSpans(call, '$2', `$${params.length + 1}`), [
        ...params,
        messages.map(({ traceparent }) => traceparent ?? null),
      ])
    : await q.query<SavedRow>(call, params);
  const byPlace = new Map(rows.map((row) => [row.place, row]));
  return messages.map((_, index) => toOutcome(byPlace.get(index + 1)));
}

/** The message at a position, deleted or not. */
export async function findMessageAt(q: Queryable, groupId: string, seq: number): Promise<MessageRow | undefined> {
  const { rows } = await q.query<MessageRow>(
    `select ${COLUMNS}, ${SENDER_COLUMNS} from ${MESSAGES} where group_id = $1 and seq = $2`,
    [groupId, seq],
  );
  return rows[0];
}

/** The position of a message, deleted or not. */
export async function findSeqOf(q: Queryable, groupId: string, messageId: string): Promise<number | undefined> {
  const { rows } = await q.query<{ seq: number }>('select seq from messages where id = $1 and group_id = $2', [
    messageId,
    groupId,
  ]);
  return rows[0]?.seq;
}

/** Above every position. A page without an end has this one: a plan that must do for none as well reads all messages between the head and the page. */
const END = Number.MAX_SAFE_INTEGER;

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
      ? [last?.seq ?? page.after ?? 0, page.before ?? END]
      : [page.after ?? 0, last?.seq ?? page.before ?? END];
    const chunk = await q.query<MessageRow & Sized>(
      `select * from (
         select *, sum(bytes) over (order by seq ${order}) - bytes as ahead from (
           select m.*, ${SENDER_COLUMNS}, octet_length(content) + coalesce(octet_length(attachments::text), 0)
             + coalesce(octet_length(m.custom::text), 0) + coalesce(sender_bytes, 0) as bytes
           from (
             select ${COLUMNS} from messages m where group_id = $1 and seq > $2 and seq < $3 and deleted_at is null
             order by seq ${order} limit $4
           ) m ${senderOf('m.sender_id')}
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
    `select ${COLUMNS}, ${SENDER_COLUMNS} from ${MESSAGES}
     where m.id = $1 and group_id = $2 and deleted_at is null for update of m`,
    [messageId, groupId],
  );
  return rows[0];
}

/**
 * The history too has the new fields from now on. Answers when it was edited, in whole milliseconds by the database's clock: the caller has
 * locked the group, and no edit of a message has the time of an earlier one, so that times tell which is the later.
 */
export async function updateMessage(
  tx: Queryable,
  messageId: string,
  { content, custom }: { content: string; custom: JsonObject | null },
): Promise<Date> {
  const { rows } = await tx.query<{ updated_at: Date }>(
    `update messages set content = $2, custom = $3, updated_at = greatest(
       date_trunc('milliseconds', clock_timestamp()), updated_at + interval '1 millisecond', created_at)
     where id = $1 returning updated_at`,
    [messageId, content, custom && JSON.stringify(custom)],
  );
  const row = rows[0];
  if (!row) throw new Error(`unable to edit the message "${messageId}"; it was not locked`);
  return row.updated_at;
}

/** A deleted message leaves its position, and its content nowhere: earlier edits in the history lose it too. */
export async function eraseMessage(tx: Queryable, groupId: string, messageId: string): Promise<void> {
  await tx.query(
    `update messages set content = '', attachments = null, custom = null, deleted_at = now() where id = $1`,
    [messageId],
  );
  await tx.query(
    `update events set payload = (payload - 'custom') || '{"content": "", "deleted": true}'
     where group_id = $1 and type = 'message-updated' and payload ->> 'messageId' = $2`,
    [groupId, messageId],
  );
}
