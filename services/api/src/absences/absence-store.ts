import type { Database } from '../db/database.ts';

/** Why somebody has not got a message: a state of the relays. */
export interface Absent {
  userId: string;
  why: string;
}

/** A message of which it is not settled yet who has not got it. */
export interface AwaitedMessage {
  id: string;
  groupId: string;
  epoch: string;
  seq: number;
  senderId: string;
  createdAt: Date;
  ageMs: number;
  /** There is nothing to have: it is deleted, or the relay refused it for good. */
  isVoid: boolean;
}

/** A webhook that this process has taken, for a minute, to send it. */
export interface AbsenceWebhook {
  /** Of the message. */
  id: string;
  groupId: string;
  seq: number;
  senderId: string;
  absent: Absent[];
  createdAt: Date;
  ageMs: number;
  attempts: number;
}

/**
 * The statements about absences. Each group has a cursor beside that of the dispatcher, up to which it is settled who was absent; moving it and
 * putting webhooks into their queue is one step, so that a message has one webhook however many processes ask.
 */
export interface AbsenceStore {
  /** Notes since when absences are told of, and that groups in which nothing has happened since are settled. Answers that time. */
  begin(): Promise<Date>;
  /** Forgets everything, where absences were told of before. */
  end(): Promise<boolean>;
  /** Groups in which nobody is at work, quiet for `quietMs`, whose cursor is behind that of the dispatcher. */
  findBehind(limit: number, quietMs: number): Promise<{ groupId: string; dispatchedSeq: number }[]>;
  /** Messages above the group's cursor up to `upTo`, oldest first. */
  read(groupId: string, upTo: number, since: Date, limit: number): Promise<AwaitedMessage[]>;
  /** Moves the cursor to `seq`, and puts webhooks for messages above the cursor into the queue. */
  settle(groupId: string, seq: number, webhooks: readonly NewWebhook[]): Promise<void>;
  /** Takes webhooks whose time has come; another process takes them a minute later if this one does not finish. */
  take(limit: number): Promise<AbsenceWebhook[]>;
  /** It was sent, or is given up. */
  remove(id: string): Promise<void>;
  postpone(id: string, delayMs: number): Promise<void>;
}

export type NewWebhook = Pick<AbsenceWebhook, 'id' | 'seq' | 'senderId' | 'absent'>;

interface MessageRow extends Record<string, unknown> {
  id: string;
  epoch: string;
  seq: number;
  sender_id: string;
  created_at: Date;
  age_ms: number;
  is_void: boolean;
}

interface WebhookRow extends Record<string, unknown> {
  id: string;
  group_id: string;
  seq: number;
  sender_id: string;
  absent: Absent[];
  created_at: Date;
  age_ms: number;
  attempts: number;
}

/** Groups that one statement settles when absences begin to be told of. */
const BEGUN_AT_ONCE = 5_000;
/** How long a webhook that was taken is left to the process that did, as SQL. */
const TAKEN_FOR = `interval '1 minute'`;
/** Longer than any delay: what lies further ahead was put before the database's clock was set back, as SQL. */
const MAX_DELAY = `interval '2 hours'`;

const AGE_MS = `extract(epoch from now() - created_at)::float8 * 1000`;

export function createAbsenceStore(db: Database, { owner }: { owner: string }): AbsenceStore {
  const isFree = `(o.lease_until is null or o.lease_until < now() or o.lease_owner = $1)`;

  async function startOf(groupId: string, since: Date): Promise<number> {
    const { rows } = await db.query<{ notified_seq: number | null }>(
      'select notified_seq from outbox where group_id = $1',
      [groupId],
    );
    const known = rows[0]?.notified_seq;
    if (known !== null && known !== undefined) return known;
    // Nobody has asked yet: the first ones are those since absences are told of.
    const before = await db.query<{ seq: number }>(
      'select seq from messages where group_id = $1 and created_at < $2 order by seq desc limit 1',
      [groupId, since],
    );
    return before.rows[0]?.seq ?? 0;
  }

  return {
    async begin() {
      await db.query('insert into absences_since (since) select now() where not exists (select 1 from absences_since)');
      const { rows } = await db.query<{ since: Date }>('select since from absences_since order by since limit 1');
      const since = rows[0]?.since ?? new Date();
      for (;;) {
        // It goes part by part, so that nobody waits for all of them.
        const { count } = await db.query(
          `update outbox set notified_seq = dispatched_seq where group_id in (
             select group_id from outbox where notified_seq is null and active_at < $1 limit ${BEGUN_AT_ONCE})`,
          [since],
        );
        if (count < BEGUN_AT_ONCE) return since;
      }
    },
    async end() {
      const { rows } = await db.query('select 1 from absences_since limit 1');
      if (rows.length === 0) return false;
      await db.transaction(async (tx) => {
        await tx.query('update outbox set notified_seq = null where notified_seq is not null');
        await tx.query('delete from absence_webhooks');
        await tx.query('delete from absences_since');
      });
      return true;
    },
    async findBehind(limit, quietMs) {
      const { rows } = await db.query<{ group_id: string; dispatched_seq: number }>(
        `select o.group_id, o.dispatched_seq from outbox o
         where coalesce(o.notified_seq, 0) < o.dispatched_seq and ${isFree}
           and coalesce(o.active_at, '-infinity') < now() - $2 * interval '1 millisecond' limit $3`,
        [owner, quietMs, limit],
      );
      return rows.map(({ group_id: groupId, dispatched_seq: dispatchedSeq }) => ({ groupId, dispatchedSeq }));
    },
    async read(groupId, upTo, since, limit) {
      const start = await startOf(groupId, since);
      const { rows } = await db.query<MessageRow>(
        `select m.id, g.epoch, m.seq, m.sender_id, m.created_at, extract(epoch from now() - m.created_at)::float8 * 1000 as age_ms,
           m.deleted_at is not null or m.omitted is not null or m.created_at < $4 as is_void
         from messages m join groups g on g.id = m.group_id
         where m.group_id = $1 and m.seq > $2 and m.seq <= $3 order by m.seq limit $5`,
        [groupId, start, upTo, since, limit],
      );
      return rows.map(({ id, epoch, seq, sender_id, created_at, age_ms, is_void }) => ({
        id,
        groupId,
        epoch,
        seq,
        senderId: sender_id,
        createdAt: created_at,
        ageMs: age_ms,
        isVoid: is_void,
      }));
    },
    async settle(groupId, seq, webhooks) {
      await db.transaction(async (tx) => {
        const { rows } = await tx.query<{ notified_seq: number | null }>(
          'select notified_seq from outbox where group_id = $1 for update',
          [groupId],
        );
        const before = rows[0]?.notified_seq ?? -1;
        const fresh = webhooks.filter((webhook) => webhook.seq > before);
        if (fresh.length > 0) {
          await tx.query(
            `insert into absence_webhooks (id, group_id, seq, sender_id, absent)
             select id, $1, seq, sender_id, absent::jsonb
             from unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) as w (id, seq, sender_id, absent)
             on conflict do nothing`,
            [
              groupId,
              fresh.map(({ id }) => id),
              fresh.map((webhook) => webhook.seq),
              fresh.map(({ senderId }) => senderId),
              fresh.map(({ absent }) => JSON.stringify(absent)),
            ],
          );
        }
        if (before < seq) await tx.query('update outbox set notified_seq = $2 where group_id = $1', [groupId, seq]);
      });
    },
    async take(limit) {
      const { rows } = await db.query<WebhookRow>(
        `update absence_webhooks set attempts = attempts + 1, retry_at = now() + ${TAKEN_FOR} where id in (
           select id from absence_webhooks where retry_at <= now() or retry_at > now() + ${MAX_DELAY}
           order by retry_at limit $1 for update skip locked
         )
         returning id, group_id, seq, sender_id, absent, created_at, ${AGE_MS} as age_ms, attempts`,
        [limit],
      );
      return rows.map(({ id, group_id, seq, sender_id, absent, created_at, age_ms, attempts }) => ({
        id,
        groupId: group_id,
        seq,
        senderId: sender_id,
        absent,
        createdAt: created_at,
        ageMs: age_ms,
        attempts,
      }));
    },
    async remove(id) {
      await db.query('delete from absence_webhooks where id = $1', [id]);
    },
    async postpone(id, delayMs) {
      await db.query(`update absence_webhooks set retry_at = now() + $2 * interval '1 millisecond' where id = $1`, [
        id,
        delayMs,
      ]);
    },
  };
}
