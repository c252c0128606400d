import type { Database } from '../db/database.ts';
import { lockGroup } from '../events/event-store.ts';

/** A group whose oldest events are older than it keeps them. */
export interface ExpiredGroup extends Record<string, unknown> {
  id: string;
  days: number;
}

export interface RetentionStore {
  /**
   * Looks through the next groups behind `after`, in the order of their ids. `last` is where the next page begins; undefined where there are
   * no further groups. `defaultDays`: for groups without a setting of their own, and the most for those with one.
   */
  findExpired(after: string, defaultDays: number | undefined): Promise<{ groups: ExpiredGroup[]; last?: string }>;
  /** Removes the oldest events of a group, as many as one step may, and answers how many. The relay has accepted all of them. */
  removeStep(group: ExpiredGroup): Promise<number>;
  /** Removes what is kept of copies of messages and has ended; most of it goes as others come. */
  removeCopies(): Promise<void>;
  /** Makes room in the files where nobody else does: PostgreSQL does so by itself. */
  vacuum(): Promise<void>;
}

/** Groups that one statement looks through. */
const GROUPS_PER_PAGE = 500;
/** Events that one step removes: it holds the lock of the group for some milliseconds. */
const EVENTS_PER_STEP = 500;

const isExpired = (table: 'messages' | 'events'): string =>
  `(select created_at from ${table} where group_id = page.id order by seq limit 1) < now() - page.days * interval '1 day'`;

export function createRetentionStore(db: Database): RetentionStore {
  return {
    async findExpired(after, defaultDays) {
      const own = defaultDays === undefined ? 'and retention_days is not null' : '';
      const { rows } = await db.query<ExpiredGroup & { is_expired: boolean }>(
        `select id, days, coalesce(${isExpired('messages')}, false) or coalesce(${isExpired('events')}, false) as is_expired
         from (
           select id, least(retention_days, $2::int) as days from groups where id > $1 ${own} order by id limit $3
         ) page order by id`,
        [after, defaultDays ?? null, GROUPS_PER_PAGE],
      );
      const last = rows.length < GROUPS_PER_PAGE ? undefined : rows.at(-1)?.id;
      const groups = rows.filter((row) => row.is_expired).map(({ id, days }) => ({ id, days }));
      return { groups, ...(last === undefined ? {} : { last }) };
    },
    async removeStep({ id, days }) {
      return db.transaction(async (tx) => {
        await lockGroup(tx, id);
        // The oldest events up to the first one that is kept. One that the relay has not accepted is still needed; of a group that was never
        // dispatched it has accepted none, and `least` would leave a null out.
        const { rows } = await tx.query<{ removed: number }>(
          `with oldest as (
             (select seq, created_at from messages where group_id = $1 order by seq limit $3)
             union all (select seq, created_at from events where group_id = $1 order by seq limit $3)
             order by seq limit $3
           ), bound as (
             select least(
               coalesce(min(seq) filter (where created_at >= now() - $2 * interval '1 day') - 1, max(seq)),
               coalesce((select dispatched_seq from outbox where group_id = $1), 0)
             ) as seq from oldest
           ), messages_gone as (
             delete from messages where group_id = $1 and seq <= (select seq from bound) returning ordinal
           ), events_gone as (
             delete from events where group_id = $1 and seq <= (select seq from bound) returning seq
           ), floor as (
             update groups set floor_seq = greatest(floor_seq, bound.seq),
               floor_ordinal = greatest(floor_ordinal, (select max(ordinal) from messages_gone))
             from bound where id = $1 and bound.seq > floor_seq
           )
           select ((select count(*) from messages_gone) + (select count(*) from events_gone))::int as removed`,
          [id, days, EVENTS_PER_STEP],
        );
        return rows[0]?.removed ?? 0;
      });
    },
    async removeCopies() {
      await db.query('delete from message_copies where ends_at < now()');
      // Its rows come and go, and nobody else makes room there.
      if (db.kind === 'embedded') await db.script('vacuum message_copies');
    },
    async vacuum() {
      if (db.kind === 'embedded') for (const table of ['messages', 'events']) await db.script(`vacuum ${table}`);
    },
  };
}
