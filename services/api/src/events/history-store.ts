import type { GroupEvent, HistoryFillAnswer } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { nextChunk, readPageWithin, type Sized } from '../db/page-budget.ts';
import { historyRows } from './history-rows.ts';
import { type HistoryRow, toStoredEvent } from './stored-event.ts';

interface SizedRow extends HistoryRow, Sized {}

function toEvent(row: HistoryRow, groupId: string, epoch: string): GroupEvent {
  const { seq, id, type, payload } = toStoredEvent(row);
  return { ...payload, event: type, id, groupId, epoch, seq };
}

/**
 * Events above `afterSeq`, oldest first, in the shape they have on the socket plus `event`: at most `limit`, and as many bytes as a page
 * may have, but one at least.
 */
export async function readEvents(
  q: Queryable,
  groupId: string,
  epoch: string,
  afterSeq: number,
  limit: number,
): Promise<GroupEvent[]> {
  const { rows } = await readPageWithin<SizedRow>({ limit }, async ({ last, count, maxBytes }) => {
    const chunk = await q.query<SizedRow>(
      `select * from (
         select *, sum(bytes) over (order by seq) - bytes as ahead from (
           ${historyRows('group_id = $1 and seq > $2', '$3')}
         ) sized
       ) page where ahead <= $4 order by seq`,
      [groupId, last?.seq ?? afterSeq, count, maxBytes],
    );
    return chunk.rows;
  });
  return rows.map((row) => toEvent(row, groupId, epoch));
}

/** Most bytes of one group in a fill, by its payloads as text; older events are left out. */
const MAX_FILL_BYTES = 1_048_576;
/** Most bytes of one answer, which the groups that were asked for together share. */
const MAX_ANSWER_BYTES = 4_194_304;

interface Fill {
  groupId: string;
  epoch: string;
  head: number;
  /** Newest first, and without holes down from `head`. */
  rows: SizedRow[];
  bytes: number;
  isDone: boolean;
}

/**
 * Reads what a relay with an empty log needs: the newest events that a relay has accepted, per group in the order asked for. Events that
 * are only saved are left out, because the dispatcher brings them, and they must be new to the relay then. A group that does not fit
 * has fewer events: the newest ones, which end at its position all the same.
 */
export async function readAccepted(
  q: Queryable,
  groupIds: readonly string[],
  limit: number,
): Promise<HistoryFillAnswer['groups']> {
  const { rows } = await q.query<{ id: string; epoch: string; head: number }>(
    `select g.id, g.epoch, coalesce(o.dispatched_seq, 0) as head from groups g left join outbox o on o.group_id = g.id
     where g.id = any($1::text[]) and g.deleted_at is null`,
    [[...groupIds]],
  );
  const fills = rows.map(
    ({ id, epoch, head }): Fill => ({ groupId: id, epoch, head, rows: [], bytes: 0, isDone: false }),
  );
  const maxBytes = Math.min(MAX_FILL_BYTES, Math.floor(MAX_ANSWER_BYTES / Math.max(1, fills.length)));
  for (let open = fills; open.length > 0; open = fills.filter(({ isDone }) => !isDone)) {
    await readNext(q, open, { count: limit, maxBytes });
  }
  const found = new Map(fills.map((fill) => [fill.groupId, fill]));
  return groupIds.map((groupId) => {
    const fill = found.get(groupId);
    if (!fill) return { groupId, position: null, events: [] };
    const { epoch, head: seq } = fill;
    return {
      groupId,
      position: { epoch, seq },
      events: fill.rows.toReversed().map((row) => toEvent(row, groupId, epoch)),
    };
  });
}

/** The next older events of every group, in one query. A group is done when there are none, or when they do not fit. */
async function readNext(
  q: Queryable,
  fills: readonly Fill[],
  limits: { count: number; maxBytes: number },
): Promise<void> {
  const counts = fills.map((fill) => nextChunk(fill.rows.length, fill.bytes, limits));
  const { rows } = await q.query<SizedRow & { group_id: string }>(
    `select a.group_id, e.*
     from unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[]) as a (group_id, below, count, max_bytes)
     join lateral (
       select *, sum(bytes) over (order by seq desc) as together from (
         ${historyRows('group_id = a.group_id and seq < a.below', 'a.count', 'desc')}
       ) sized
     ) e on e.together <= a.max_bytes
     order by a.group_id, e.seq desc`,
    [
      fills.map(({ groupId }) => groupId),
      fills.map(({ rows: known, head }) => known.at(-1)?.seq ?? head + 1),
      counts,
      fills.map(({ bytes }) => limits.maxBytes - bytes),
    ],
  );
  const byGroup = new Map<string, SizedRow[]>();
  for (const { group_id, ...row } of rows) {
    const fresh = byGroup.get(group_id) ?? [];
    fresh.push(row);
    byGroup.set(group_id, fresh);
  }
  for (const [index, fill] of fills.entries()) {
    const fresh = byGroup.get(fill.groupId) ?? [];
    fill.rows.push(...fresh);
    fill.bytes += fresh.reduce((sum, { bytes }) => sum + bytes, 0);
    fill.isDone = fresh.length < (counts[index] ?? 0) || fill.rows.length >= limits.count;
  }
}
