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
