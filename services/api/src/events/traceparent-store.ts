import type { Queryable } from '../db/database.ts';
import type { StoredEvent } from './stored-event.ts';

/** How long the span of a saved message is kept. */
const KEPT_FOR = '1 hour';

/**
 * SQL that saves messages as `call` does, and keeps the spans of those that are saved now: in the same statement, so that both are there or
 * neither. `groupIds` and `traceparents` are arrays in the order of the messages. Old spans go as new ones come.
 */
export const savedWithSpans = (call: string, groupIds: string, traceparents: string): string =>
  `with saved as materialized (${call}), spans as (
     insert into traceparents (group_id, seq, traceparent)
     select (${groupIds}::text[])[saved.place::int], saved.seq, (${traceparents}::text[])[saved.place::int] from saved
     where saved.outcome = 'saved' and (${traceparents}::text[])[saved.place::int] is not null
     on conflict (group_id, seq) do update set traceparent = excluded.traceparent, created_at = now()
   ), ended as (
     delete from traceparents where ctid in (
       select ctid from traceparents where created_at < now() - interval '${KEPT_FOR}' order by created_at
       limit 2 * cardinality(${traceparents}::text[]) + 8 for update skip locked
     )
   ) select * from saved`;

/** Adds the spans in which events were saved. */
export async function addSpans(q: Queryable, groupId: string, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
  const [first, last] = [events[0]?.seq, events.at(-1)?.seq];
  if (first === undefined) return [];
  const { rows } = await q.query<{ seq: number; traceparent: string }>(
    'select seq, traceparent from traceparents where group_id = $1 and seq between $2 and $3',
    [groupId, first, last],
  );
  const spans = new Map(rows.map(({ seq, traceparent }) => [seq, traceparent]));
  return events.map((event) => {
    const traceparent = spans.get(event.seq);
    return traceparent === undefined ? event : { ...event, traceparent };
  });
}
