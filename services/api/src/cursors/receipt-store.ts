import type { Queryable } from '../db/database.ts';
import type { MovedCursors } from './cursor-store.ts';
import { readSeqOf } from './unread.ts';

/** How many members, the sender not counted, have received and read the sender's newest message, which is at `seq`. */
export interface Counts {
  seq: number;
  received: number;
  read: number;
}

/** The numbers that one sender is told. */
export interface CountsOf extends Counts {
  userId: string;
}

/** Newest messages of a group among whose senders are those who are told numbers. */
const RECENT = 20;
/** Most members that one statement looks at, over all groups; one group may have more. */
const MAX_MEMBERS = 50_000;
/** Newest messages among whose senders are those who have read what came before: nobody says something without it. */
const RECENT_SENDERS = 1_000;

interface CountRow extends Record<string, unknown> {
  group_id: string;
  /** Null in rows that count members who are no recent senders: how many there are between the same two of the messages. */
  user_id: string | null;
  seq: number | null;
  is_asked: boolean;
  received: number;
  read: number;
  members: number;
}

/**
 * Each group's members are read once. Those who have sent a recent message come one by one, with what they have read by that; of all others it is
 * counted how many stand between the same two messages, as `width_bucket` numbers them.
 */
const COUNT = `with moved as materialized (
    select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
      as moved (group_id, user_id, received_from, received_to, read_from, read_to)
  ), newest as materialized (
    select asked.group_id, last.* from (select distinct group_id from moved) asked cross join lateral (
      select sender_id, max(seq) as last_seq, max(seq) filter (where deleted_at is null) as seq from (
        select sender_id, seq, deleted_at from messages where group_id = asked.group_id order by seq desc limit ${RECENT}
      ) recent group by sender_id
    ) last
  ), senders as materialized (
    select n.*, m.received_seq, m.read_seq, exists (
      select 1 from moved where moved.group_id = n.group_id and moved.user_id <> n.sender_id
        and ((n.seq > received_from and n.seq <= received_to) or (n.seq > read_from and n.seq <= read_to))
    ) as is_asked
    from newest n cross join lateral (
      select received_seq, read_seq from group_members where group_id = n.group_id and user_id = n.sender_id limit 1
    ) m
  ), asked as materialized (
    select group_id, array_agg(sender_id) as sender_ids, array_agg(seq order by seq) filter (where is_asked) as seqs
    from senders group by group_id having bool_or(is_asked)
  )
  select s.group_id, s.sender_id as user_id, s.seq, s.is_asked, greatest(received_seq, read_seq, last_seq) as received,
    greatest(read_seq, last_seq) as read, 1 as members
  from senders s join asked on asked.group_id = s.group_id
  union all
  select a.group_id, null, null, false, between_seqs.* from asked a cross join lateral (
    select width_bucket(greatest(received_seq, read_seq), a.seqs)::bigint, width_bucket(read_seq, a.seqs)::bigint, count(*)::int
    from group_members where group_id = a.group_id and user_id <> all(a.sender_ids) group by 1, 2
  ) between_seqs`;

const sum = (rows: readonly CountRow[], isCounted: (row: CountRow) => boolean): number =>
  rows.reduce((total, row) => total + (isCounted(row) ? row.members : 0), 0);

function countsIn(rows: readonly CountRow[]): CountsOf[] {
  const asked = rows.filter(({ is_asked }) => is_asked).toSorted((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  const senders = rows.filter(({ user_id }) => user_id !== null);
  const others = rows.filter(({ user_id }) => user_id === null);
  return asked.map(({ user_id, seq }, index) => {
    const at = seq ?? 0;
    const counted = (field: 'received' | 'read'): number =>
      sum(others, (row) => row[field] > index) + sum(senders, (row) => row.user_id !== user_id && row[field] >= at);
    return { userId: user_id ?? '', seq: at, received: counted('received'), read: counted('read') };
  });
}

/** The groups of which one statement counts the members: smaller ones first, and as many as it may look at. */
function affordable(memberCounts: ReadonlyMap<string, number>): Set<string> {
  let members = 0;
  const sorted = [...memberCounts].toSorted(([, a], [, b]) => a - b);
  const fitting = sorted.filter(([, count], index) => {
    members += count;
    return index === 0 || members <= MAX_MEMBERS;
  });
  return new Set(fitting.map(([groupId]) => groupId));
}

/**
 * Counts how many have received and read the newest messages of senders, where cursors have moved over one: of those who have sent one of the last
 * messages of a group, in one statement. What is not counted because there is too much comes with the next cursors, or by `readOwnCounts`.
 */
export async function countReceipts(
  q: Queryable,
  moved: readonly MovedCursors[],
  memberCounts: ReadonlyMap<string, number>,
): Promise<Map<string, CountsOf[]>> {
  const groupIds = affordable(new Map(moved.map(({ groupId }) => [groupId, memberCounts.get(groupId) ?? 0])));
  const asked = moved.filter(({ groupId }) => groupIds.has(groupId));
  if (asked.length === 0) return new Map();
  const { rows } = await q.query<CountRow>(COUNT, [
    asked.map(({ groupId }) => groupId),
    asked.map(({ userId }) => userId),
    asked.map(({ received }) => received[0]),
    asked.map(({ received }) => received[1]),
    asked.map(({ read }) => read[0]),
    asked.map(({ read }) => read[1]),
  ]);
  const byGroup = [...groupIds].map((groupId) => {
    const ofGroup = rows.filter((row) => row.group_id === groupId);
    return [groupId, countsIn(ofGroup)] as const;
  });
  return new Map(byGroup.filter(([, counts]) => counts.length > 0));
}

/** How far each member is. What somebody has read they have received, and what they have sent too. For groups whose members are few. */
export async function readMemberCursors(
  q: Queryable,
  groupId: string,
): Promise<Record<string, { received: number; read: number }>> {
  const { rows } = await q.query<{ user_id: string; received: number; read: number }>(
    `select m.user_id, greatest(m.received_seq, own.read) as received, own.read
     from group_members m cross join lateral (select ${readSeqOf('m')} as read offset 0) own where m.group_id = $1`,
    [groupId],
  );
  return Object.fromEntries(rows.map(({ user_id, received, read }) => [user_id, { received, read }]));
}

/** How many have received and read the user's newest message; null where there is none among the last that they have sent. */
export async function readOwnCounts(q: Queryable, groupId: string, userId: string): Promise<Counts | null> {
  const { rows } = await q.query<{ seq: number; received: number; read: number }>(
    `with own as materialized (
       select max(seq) as seq from (
         select seq, deleted_at from messages where group_id = $1 and (sender_id, seq) > ($2, 0)
           and (sender_id, seq) <= ($2, ${Number.MAX_SAFE_INTEGER})
         order by sender_id desc, seq desc limit ${RECENT}
       ) sent where deleted_at is null
     ), later as materialized (
       select distinct sender_id from (
         select sender_id from messages where group_id = $1 and seq > (select seq from own) order by seq desc
         limit ${RECENT_SENDERS}
       ) recent
     )
     select own.seq, count(*) filter (where m.received_seq >= own.seq or has_read)::int as received,
       count(*) filter (where has_read)::int as read
     from own cross join lateral (
       select received_seq, read_seq >= own.seq or user_id in (select sender_id from later) as has_read
       from group_members where group_id = $1 and user_id <> $2
     ) m where own.seq is not null group by own.seq`,
    [groupId, userId],
  );
  return rows[0] ?? null;
}
