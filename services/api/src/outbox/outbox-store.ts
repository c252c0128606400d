import type { JsonObject } from '@groupcast/shared';
import type { Database } from '../db/database.ts';
import type { MembershipEffect, NewEvent, StoredEvent } from '../events/event-store.ts';
import type { Backlog } from '../metrics.ts';

/** The right to dispatch one group's events, until it runs out or another process has claimed the group. */
export interface Lease {
  groupId: string;
  /** Rises with every claim: a change with an older token has no effect. */
  token: number;
  epoch: string;
  dispatchedSeq: number;
}

/** The dispatcher's statements. Every change of a cursor carries the lease's token, which fences off processes that have lost the lease. */
export interface OutboxStore {
  /** Groups with a backlog that no process works on, and whose time to retry has come. */
  findBacklog(limit: number): Promise<string[]>;
  /**
   * With the first events to send; none where they were committed while the claim waited for them. `undefined` when the group
   * has no backlog, waits for its retry, or is another process's.
   */
  claim(groupId: string, limit: number): Promise<{ lease: Lease; events: StoredEvent[] } | undefined>;
  /** False when the lease is lost. */
  renew(lease: Lease): Promise<boolean>;
  read(lease: Lease, limit: number): Promise<StoredEvent[]>;
  /**
   * Moves the cursor. `released` when nothing was left and the lease was given back in the same step, so no event can
   * slip in between; `lost` when the lease is no longer ours and nothing was changed.
   */
  settle(lease: Lease, dispatchedSeq: number): Promise<'released' | 'more' | 'lost'>;
  /** Gives the group back, to be tried again after `delayMs` by whichever process. */
  postpone(lease: Lease, delayMs: number): Promise<void>;
  /** Moves the cursor back to where the relay's log stands. */
  rewind(lease: Lease, dispatchedSeq: number): Promise<boolean>;
  /** Gives the group a new epoch, and with it every event it ever had. */
  changeEpoch(lease: Lease, epoch: string): Promise<boolean>;
  /** Puts `event` in the place of one that the relay refuses for good. */
  replace(lease: Lease, seq: number, event: NewEvent): Promise<void>;
  /** How many attempts have failed in a row, for the backoff. */
  attempts(groupId: string): Promise<number>;
  dispatchedSeq(groupId: string): Promise<number>;
  /** The group's newest position in the database. */
  savedSeq(groupId: string): Promise<number>;
  backlog(): Promise<Backlog>;
  /** Gives up all leases and delays. Only for a database that no other process uses: its leases are those of an earlier process. */
  clearLeases(): Promise<void>;
}

interface EventRow extends Record<string, unknown> {
  seq: number;
  id: string;
  type: string;
  payload: JsonObject;
  effect: MembershipEffect | null;
}

type Nullable<T> = { [K in keyof T]: T[K] | null };

function toEvent({ seq, id, type, payload, effect }: EventRow): StoredEvent {
  return { seq, id, type, payload, ...(effect ? { effect } : {}) };
}

/** Longer than any delay between two attempts, in milliseconds. */
const MAX_RETRY_MS = 60_000;

export function createOutboxStore(db: Database, options: { owner: string; leaseMs: number }): OutboxStore {
  const { owner, leaseMs } = options;
  const until = `now() + interval '${leaseMs} milliseconds'`;
  // The database's clock may be set back: what lies further ahead than anything is ever put was put before that, and holds no longer.
  const isFree = `(lease_until is null or lease_until < now() or lease_until > now() + interval '${2 * leaseMs} milliseconds')`;
  const isDue = `(retry_at is null or retry_at <= now() or retry_at > now() + interval '${MAX_RETRY_MS} milliseconds')`;
  const changed = async (text: string, params: readonly unknown[]): Promise<boolean> =>
    (await db.query(`${text} returning id`, params)).rows.length > 0;

  return {
    async findBacklog(limit) {
      const { rows } = await db.query<{ id: string }>(
        `select id from groups where seq > dispatched_seq and ${isFree} and ${isDue} limit $1`,
        [limit],
      );
      return rows.map(({ id }) => id);
    },
    async claim(groupId, limit) {
      const { rows } = await db.query<{ token: number; epoch: string; dispatched_seq: number } & Nullable<EventRow>>(
        `with lease as (
           update groups set lease_owner = $2, lease_token = lease_token + 1, lease_until = ${until}
           where id = $1 and seq > dispatched_seq and ${isFree} and ${isDue}
           returning lease_token as token, epoch, dispatched_seq
         )
         select lease.*, e.* from lease left join lateral (
           select seq, id, type, payload, effect from events
           where group_id = $1 and seq > lease.dispatched_seq order by seq limit $3
         ) e on true order by e.seq`,
        [groupId, owner, limit],
      );
      const [first] = rows;
      if (!first) return undefined;
      const { token, epoch, dispatched_seq: dispatchedSeq } = first;
      const events = rows.filter((row): row is typeof row & EventRow => row.seq !== null).map(toEvent);
      return { lease: { groupId, token, epoch, dispatchedSeq }, events };
    },
    async renew({ groupId, token }) {
      return changed(`update groups set lease_until = ${until} where id = $1 and lease_token = $2`, [groupId, token]);
    },
    async read({ groupId, dispatchedSeq }, limit) {
      const { rows } = await db.query<EventRow>(
        'select seq, id, type, payload, effect from events where group_id = $1 and seq > $2 order by seq limit $3',
        [groupId, dispatchedSeq, limit],
      );
      return rows.map(toEvent);
    },
    async settle({ groupId, token }, dispatchedSeq) {
      const { rows } = await db.query<{ released: boolean }>(
        `update groups set dispatched_seq = $3, attempts = 0, retry_at = null,
         lease_until = case when seq > $3 then ${until} end
         where id = $1 and lease_token = $2 returning lease_until is null as released`,
        [groupId, token, dispatchedSeq],
      );
      const row = rows[0];
      return row ? (row.released ? 'released' : 'more') : 'lost';
    },
    async postpone({ groupId, token }, delayMs) {
      await db.query(
        `update groups set lease_until = null, attempts = attempts + 1, retry_at = now() + $3 * interval '1 millisecond'
         where id = $1 and lease_token = $2`,
        [groupId, token, delayMs],
      );
    },
    async rewind({ groupId, token }, dispatchedSeq) {
      return changed(
        `update groups set dispatched_seq = $3, lease_until = ${until} where id = $1 and lease_token = $2 and dispatched_seq >= $3`,
        [groupId, token, dispatchedSeq],
      );
    },
    async changeEpoch({ groupId, token }, epoch) {
      return changed(`update groups set epoch = $3, lease_until = ${until} where id = $1 and lease_token = $2`, [
        groupId,
        token,
        epoch,
      ]);
    },
    async replace({ groupId, token }, seq, event) {
      await db.query(
        `update events set id = $4, type = $5, payload = $6 from groups
         where groups.id = $1 and groups.lease_token = $2 and events.group_id = $1 and events.seq = $3`,
        [groupId, token, seq, event.id, event.type, JSON.stringify(event.payload)],
      );
    },
    async attempts(groupId) {
      const { rows } = await db.query<{ attempts: number }>('select attempts from groups where id = $1', [groupId]);
      return rows[0]?.attempts ?? 0;
    },
    async dispatchedSeq(groupId) {
      const { rows } = await db.query<{ seq: number }>('select dispatched_seq as seq from groups where id = $1', [
        groupId,
      ]);
      return rows[0]?.seq ?? 0;
    },
    async savedSeq(groupId) {
      const { rows } = await db.query<{ seq: number }>('select seq from groups where id = $1', [groupId]);
      return rows[0]?.seq ?? 0;
    },
    async backlog() {
      const { rows } = await db.query<{ groups: number; events: number; oldest: number | null }>(
        `select count(*)::int as groups, coalesce(sum(seq - dispatched_seq), 0)::int as events,
         extract(epoch from now() - min((select created_at from events e
           where e.group_id = g.id and e.seq = g.dispatched_seq + 1)))::float8 as oldest
         from groups g where seq > dispatched_seq`,
      );
      const row = rows[0];
      return { groups: row?.groups ?? 0, events: row?.events ?? 0, oldestSeconds: Math.max(0, row?.oldest ?? 0) };
    },
    async clearLeases() {
      await db.query(
        'update groups set lease_until = null, retry_at = null where lease_until is not null or retry_at is not null',
      );
    },
  };
}
