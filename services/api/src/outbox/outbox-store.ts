import type { Database } from '../db/database.ts';
import { headOf, historyRows } from '../events/history-rows.ts';
import { type HistoryRow, type NewEvent, type StoredEvent, toStoredEvent } from '../events/stored-event.ts';
import { addSpans } from '../events/traceparent-store.ts';
import type { Backlog } from '../metrics.ts';

/** The right to dispatch one group's events, until it runs out or another process has claimed the group. */
export interface Lease {
  groupId: string;
  /** Rises with every claim: a change with an older token has no effect. */
  token: number;
  epoch: string;
  /** Up to here the relay has accepted the group's events, as far as the lease's holder knows. */
  dispatchedSeq: number;
}

export type Claim =
  /** With the first events to send; none where they were committed while the claim waited for them. */
  | { kind: 'claimed'; lease: Lease; events: StoredEvent[] }
  /** Another process holds the group, and has to be told of new events. */
  | { kind: 'elsewhere' }
  /** The group has no backlog, or waits for its retry. */
  | { kind: 'nothing' };

/**
 * `held`: the cursor is written and the lease is renewed. `more`: the same, and the group was not given back because it has further events. `released`:
 * given back. `lost`: the lease is no longer ours, and nothing was changed.
 */
export type Settled = 'held' | 'more' | 'released' | 'lost';

/** The dispatcher's statements. Every change of a cursor carries the lease's token, which fences off processes that have lost the lease. */
export interface OutboxStore {
  /** Groups with a backlog that no process works on, and whose time to retry has come. */
  findBacklog(limit: number): Promise<string[]>;
  claim(groupId: string, limit: number): Promise<Claim>;
  /** False when the lease is lost. */
  renew(lease: Lease): Promise<boolean>;
  /** The events after the lease's cursor. */
  read(lease: Lease, limit: number): Promise<StoredEvent[]>;
  /**
   * Writes the cursors of groups, and gives those back that `closes`, in the same order. Giving one back and seeing that nothing is left is
   * one step, so that no event slips in between.
   */
  settle(leases: readonly { lease: Lease; closes: boolean }[]): Promise<Settled[]>;
  /** Gives the group back, to be tried again after `delayMs` by whichever process. `failedCode` says because of which failure. */
  postpone(lease: Lease, delayMs: number, failedCode?: string): Promise<void>;
  /** Moves the cursor back to where the relay's log stands. */
  rewind(lease: Lease, dispatchedSeq: number): Promise<boolean>;
  /** Gives the group a new epoch, and with it every event it ever had. */
  changeEpoch(lease: Lease, epoch: string): Promise<boolean>;
  /** Puts `event-omitted` in the place of an event that the relay refuses for good. A message stays in the messages. */
  omit(lease: Lease, seq: number, event: Pick<NewEvent, 'id'> & { code: string }): Promise<void>;
  /** How many attempts have failed in a row, for the backoff. */
  attempts(groupId: string): Promise<number>;
  dispatchedSeq(groupId: string): Promise<number>;
  /** The group's newest position in the database. */
  savedSeq(groupId: string): Promise<number>;
  /** The history up to here has been removed. */
  floorSeq(groupId: string): Promise<number>;
  /** The groups among those held here that have events after their cursor. */
  findBehind(leases: readonly Lease[]): Promise<string[]>;
  backlog(): Promise<Backlog>;
  /** Gives up all leases and delays. Only for a database that no other process uses: its leases are those of an earlier process. */
  clearLeases(): Promise<void>;
}

interface ClaimedRow extends Record<string, unknown> {
  token: number;
  epoch: string;
  dispatched_seq: number;
  seq: number | null;
}

/** Longer than any delay between two attempts, in milliseconds. */
const MAX_RETRY_MS = 60_000;

/** `isTraced`: events come with the spans in which they were saved. */
export function createOutboxStore(
  db: Database,
  options: { owner: string; leaseMs: number; isTraced?: boolean },
): OutboxStore {
  const { owner, leaseMs, isTraced = false } = options;
  const until = `now() + interval '${leaseMs} milliseconds'`;
  // The database's clock may be set back: what lies further ahead than anything is ever put was put before that, and holds no longer.
  const isFree = `(o.lease_until is null or o.lease_until < now() or o.lease_until > now() + interval '${2 * leaseMs} milliseconds')`;
  const isDue = `(o.retry_at is null or o.retry_at <= now() or o.retry_at > now() + interval '${MAX_RETRY_MS} milliseconds')`;
  const changed = async (text: string, params: readonly unknown[]): Promise<boolean> =>
    (await db.query(`${text} returning 1`, params)).rows.length > 0;

  const withSpans = async (groupId: string, events: StoredEvent[]): Promise<StoredEvent[]> =>
    isTraced ? addSpans(db, groupId, events) : events;

  return {
    async findBacklog(limit) {
      const { rows } = await db.query<{ id: string }>(
        `select b.group_id as id from backlog b left join outbox o on o.group_id = b.group_id
         where ${isFree} and ${isDue} limit $1`,
        [limit],
      );
      return rows.map(({ id }) => id);
    },
    async claim(groupId, limit) {
      const { rows } = await db.query<ClaimedRow>(
        `with lease as (
           insert into outbox as o (group_id, lease_owner, lease_token, lease_until)
           select group_id, $2, 1, ${until} from backlog where group_id = $1
           on conflict (group_id) do update set lease_owner = $2, lease_token = o.lease_token + 1, lease_until = ${until}
           where ${isFree} and ${isDue}
           returning lease_token as token, dispatched_seq
         )
         select lease.*, g.epoch, e.* from lease join groups g on g.id = $1 left join lateral (
           ${historyRows('group_id = $1 and seq > lease.dispatched_seq', '$3')}
         ) e on true order by e.seq`,
        [groupId, owner, limit],
      );
      const [first] = rows;
      if (first) {
        const { token, epoch, dispatched_seq: dispatchedSeq } = first;
        const events = rows.filter(({ seq }) => seq !== null).map((row) => toStoredEvent(row as unknown as HistoryRow));
        const lease = { groupId, token, epoch, dispatchedSeq };
        return { kind: 'claimed', lease, events: await withSpans(groupId, events) };
      }
      const held = await db.query(
        `select 1 from outbox o where o.group_id = $1 and not ${isFree} and o.lease_owner <> $2`,
        [groupId, owner],
      );
      return { kind: held.rows.length > 0 ? 'elsewhere' : 'nothing' };
    },
    async renew({ groupId, token }) {
      return changed(`update outbox set lease_until = ${until} where group_id = $1 and lease_token = $2`, [
        groupId,
        token,
      ]);
    },
    async read({ groupId, dispatchedSeq }, limit) {
      const { rows } = await db.query<HistoryRow>(historyRows('group_id = $1 and seq > $2', '$3'), [
        groupId,
        dispatchedSeq,
        limit,
      ]);
      return withSpans(groupId, rows.map(toStoredEvent));
    },
    async settle(leases) {
      const { rows } = await db.query<{ group_id: string; state: Settled }>(
        `select * from settle_groups($1, $2, $3, $4, interval '${leaseMs} milliseconds')`,
        [
          leases.map(({ lease }) => lease.groupId),
          leases.map(({ lease }) => lease.token),
          leases.map(({ lease }) => lease.dispatchedSeq),
          leases.map(({ closes }) => closes),
        ],
      );
      return leases.map((_, index) => rows[index]?.state ?? 'lost');
    },
    async postpone({ groupId, token, dispatchedSeq }, delayMs, failedCode) {
      await db.query(
        `update outbox set dispatched_seq = $4, lease_until = null, attempts = attempts + 1,
           failed_code = $5, retry_at = now() + $3 * interval '1 millisecond'
         where group_id = $1 and lease_token = $2`,
        [groupId, token, delayMs, dispatchedSeq, failedCode ?? null],
      );
    },
    async rewind({ groupId, token }, dispatchedSeq) {
      return changed(
        `update outbox set dispatched_seq = $3, lease_until = ${until} where group_id = $1 and lease_token = $2`,
        [groupId, token, dispatchedSeq],
      );
    },
    async changeEpoch({ groupId, token }, epoch) {
      return changed(
        `with lease as (
           update outbox set lease_until = ${until} where group_id = $1 and lease_token = $2 returning group_id
         )
         update groups set epoch = $3 from lease where id = lease.group_id`,
        [groupId, token, epoch],
      );
    },
    async omit({ groupId, token }, seq, { id, code }) {
      await db.query(
        `with lease as (select group_id from outbox where group_id = $1 and lease_token = $2), event as (
           update events set id = $4, type = 'event-omitted', payload = jsonb_build_object('code', $5::text) from lease
           where events.group_id = lease.group_id and seq = $3
         )
         update messages set omitted = jsonb_build_object('id', $4::text, 'code', $5::text) from lease
         where messages.group_id = lease.group_id and seq = $3`,
        [groupId, token, seq, id, code],
      );
    },
    async attempts(groupId) {
      const { rows } = await db.query<{ attempts: number }>('select attempts from outbox where group_id = $1', [
        groupId,
      ]);
      return rows[0]?.attempts ?? 0;
    },
    async dispatchedSeq(groupId) {
      const { rows } = await db.query<{ seq: number }>('select dispatched_seq as seq from outbox where group_id = $1', [
        groupId,
      ]);
      return rows[0]?.seq ?? 0;
    },
    async savedSeq(groupId) {
      const { rows } = await db.query<{ seq: number }>(`select ${headOf('g')} as seq from groups g where g.id = $1`, [
        groupId,
      ]);
      return rows[0]?.seq ?? 0;
    },
    async floorSeq(groupId) {
      const { rows } = await db.query<{ seq: number }>('select floor_seq as seq from groups where id = $1', [groupId]);
      return rows[0]?.seq ?? 0;
    },
    async findBehind(leases) {
      const { rows } = await db.query<{ id: string }>(
        `select g.id from unnest($1::text[], $2::bigint[]) as held (group_id, seq) cross join lateral (
           select * from groups where id = held.group_id limit 1) g
         where ${headOf('g')} > held.seq`,
        [leases.map(({ groupId }) => groupId), leases.map(({ dispatchedSeq }) => dispatchedSeq)],
      );
      return rows.map(({ id }) => id);
    },
    async backlog() {
      const { rows } = await db.query<{ groups: number; events: number; oldest: number | null }>(
        `select count(*)::int as groups, coalesce(sum(head - dispatched), 0)::int as events,
           extract(epoch from now() - min(coalesce(
             (select created_at from messages where group_id = late.id and seq = dispatched + 1),
             (select created_at from events where group_id = late.id and seq = dispatched + 1))))::float8 as oldest
         from (
           select g.id, ${headOf('g')} as head, coalesce(o.dispatched_seq, 0) as dispatched
           from backlog b join groups g on g.id = b.group_id left join outbox o on o.group_id = b.group_id
         ) late where head > dispatched`,
      );
      const row = rows[0];
      return { groups: row?.groups ?? 0, events: row?.events ?? 0, oldestSeconds: Math.max(0, row?.oldest ?? 0) };
    },
    async clearLeases() {
      await db.query(
        'update outbox set lease_until = null, retry_at = null where lease_until is not null or retry_at is not null',
      );
    },
  };
}
