import type { Queryable } from '../db/database.ts';

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

/** A message that somebody may have. */
export interface SentMessage {
  groupId: string;
  seq: number;
  senderId: string;
  createdAt: Date;
}

const ofMessage = ({ groupId, seq, senderId, createdAt }: SentMessage): unknown[] => [
  groupId,
  seq,
  senderId,
  createdAt,
];

export async function readRecipients(
  q: Queryable,
  message: SentMessage,
  page: { after: string; limit: number },
): Promise<Recipient[]> {
  const { rows } = await q.query<RecipientRow>(`${RECIPIENTS} and user_id > $5 order by user_id limit $6`, [
    ...ofMessage(message),
    page.after,
    page.limit,
  ]);
  return rows.map(toRecipient);
}

export async function findRecipients(
  q: Queryable,
  message: SentMessage,
  userIds: readonly string[],
): Promise<Recipient[]> {
  const { rows } = await q.query<RecipientRow>(`${RECIPIENTS} and user_id = any($5::text[]) order by user_id`, [
    ...ofMessage(message),
    [...userIds],
  ]);
  return rows.map(toRecipient);
}

export async function countRecipients(q: Queryable, message: SentMessage): Promise<number> {
  const { rows } = await q.query<{ count: number }>(
    `select count(*)::int as count from (${RECIPIENTS}) recipients`,
    ofMessage(message),
  );
  return rows[0]?.count ?? 0;
}
