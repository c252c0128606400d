import type { Queryable } from '../db/database.ts';

/** A message on its way out of the database: where it was saved, and how the outbox of its group stands. */
export interface TracedMessage {
  groupId: string;
  seq: number;
  epoch: string;
  senderId: string;
  createdAt: Date;
  /** The relay has refused it for good, with this code. */
  omittedCode: string | undefined;
  /** Up to here the relay has accepted the group's events; the database may know it a second late. */
  dispatchedSeq: number;
  /** The process that holds the group, and until when nobody else may take it. */
  lease: { owner: string; until: Date } | undefined;
  /** The last attempt that failed, and when the next one is due. */
  failure: { attempts: number; code: string | undefined; retryAt: Date } | undefined;
  /** The database takes no writes at present, so that no process can claim the group. */
  readsOnly: boolean;
}

interface MessageRow extends Record<string, unknown> {
  group_id: string;
  seq: number;
  epoch: string;
  sender_id: string;
  created_at: Date;
  omitted_code: string | null;
  dispatched_seq: number | null;
  lease_owner: string | null;
  lease_until: Date | null;
  is_leased: boolean | null;
  attempts: number | null;
  failed_code: string | null;
  retry_at: Date | null;
  reads_only: boolean;
}

/** The message, deleted or not, unless its group is deleted. */
export async function findTraced(q: Queryable, messageId: string): Promise<TracedMessage | undefined> {
  const { rows } = await q.query<MessageRow>(
    `select m.group_id, m.seq, g.epoch, m.sender_id, m.created_at, m.omitted ->> 'code' as omitted_code, o.dispatched_seq,
       o.lease_owner, o.lease_until, o.lease_until > now() as is_leased, o.attempts, o.failed_code, o.retry_at,
       current_setting('transaction_read_only') = 'on' as reads_only
     from messages m join groups g on g.id = m.group_id left join outbox o on o.group_id = m.group_id
     where m.id = $1 and g.deleted_at is null`,
    [messageId],
  );
  const [row] = rows;
  if (!row) return undefined;
  const { lease_owner: owner, lease_until: until, attempts, retry_at: retryAt } = row;
  return {
    groupId: row.group_id,
    seq: row.seq,
    epoch: row.epoch,
    senderId: row.sender_id,
    createdAt: row.created_at,
    omittedCode: row.omitted_code ?? undefined,
    dispatchedSeq: row.dispatched_seq ?? 0,
    lease: row.is_leased && owner !== null && until ? { owner, until } : undefined,
    failure: attempts && retryAt ? { attempts, code: row.failed_code ?? undefined, retryAt } : undefined,
    readsOnly: row.reads_only,
  };
}

/** A member for whom a message is, and how far their own cursors say that they have it. */
export interface Recipient {
  userId: string;
  known: 'applied' | 'received' | undefined;
}

interface RecipientRow extends Record<string, unknown> {
  user_id: string;
  is_received: boolean;
  is_applied: boolean;
}

/**
 * The members for whom the message is, by their ids: not its sender, and nobody who has joined after it was saved, which their time of joining
 * says. Those who have been removed are no members.
 */
const RECIPIENTS = `select user_id, received_seq >= $2 as is_received, applied_seq >= $2 as is_applied
  from group_members
  where group_id = $1 and user_id <> $3 and date_trunc('milliseconds', joined_at) <= $4`;

function toRecipient({ user_id: userId, is_received, is_applied }: RecipientRow): Recipient {
  return { userId, known: is_applied ? 'applied' : is_received ? 'received' : undefined };
}

type Message = Pick<TracedMessage, 'groupId' | 'seq' | 'senderId' | 'createdAt'>;

const ofMessage = ({ groupId, seq, senderId, createdAt }: Message): unknown[] => [groupId, seq, senderId, createdAt];

export async function readRecipients(
  q: Queryable,
  message: Message,
  page: { after: string; limit: number },
): Promise<Recipient[]> {
  const { rows } = await q.query<RecipientRow>(`${RECIPIENTS} and user_id > $5 order by user_id limit $6`, [
    ...ofMessage(message),
    page.after,
    page.limit,
  ]);
  return rows.map(toRecipient);
}

export async function findRecipients(q: Queryable, message: Message, userIds: readonly string[]): Promise<Recipient[]> {
  const { rows } = await q.query<RecipientRow>(`${RECIPIENTS} and user_id = any($5::text[]) order by user_id`, [
    ...ofMessage(message),
    [...userIds],
  ]);
  return rows.map(toRecipient);
}

export async function countRecipients(q: Queryable, message: Message): Promise<number> {
  const { rows } = await q.query<{ count: number }>(
    `select count(*)::int as count from (${RECIPIENTS}) recipients`,
    ofMessage(message),
  );
  return rows[0]?.count ?? 0;
}
