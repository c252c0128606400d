import { senderOf } from './sender.ts';

/** Bytes of a message beside its content: ids, times, and the names of its fields. */
const MESSAGE_BYTES = 200;
/** SQL of the bytes that a row of `messages` has in a page, without its sender. */
export const MESSAGE_SIZE = `octet_length(content) + coalesce(octet_length(attachments::text), 0) + coalesce(octet_length(custom::text), 0)
      + ${MESSAGE_BYTES}`;

const MESSAGE_ROWS = `select seq, id, null::text as type, null::jsonb as payload, null::jsonb as effect, sender_id,
    client_message_id, content, attachments, kind, custom, created_at, updated_at, deleted_at, omitted,
    ${MESSAGE_SIZE} as own_bytes
  from messages`;
const EVENT_ROWS = `select seq, id, type, payload, effect, null::text as sender_id, null::text as client_message_id,
    null::text as content, null::jsonb as attachments, null::text as kind, null::jsonb as custom, created_at,
    null::timestamptz as updated_at, null::timestamptz as deleted_at, null::jsonb as omitted,
    octet_length(payload::text) as own_bytes
  from events`;

/**
 * SQL of the rows of a group's history that meet `where`, by `seq`, at most `limit`: its messages, with their senders' profiles, and its other
 * events. Each table gives as many from its index, so that the cost follows from `limit` alone.
 */
export function historyRows(where: string, limit: string, order: 'asc' | 'desc' = 'asc'): string {
  const [messages, events] = [MESSAGE_ROWS, EVENT_ROWS].map(
    (rows) => `(${rows} where ${where} order by seq ${order} limit ${limit})`,
  );
  return `select history.*, sender.*, own_bytes + coalesce(sender_bytes, 0) as bytes from (
    select * from (${messages} union all ${events}) as either order by seq ${order} limit ${limit}
  ) as history ${senderOf('history.sender_id')} order by seq ${order}`;
}

const newest = (column: 'seq' | 'created_at', table: 'messages' | 'events', groupId: string): string =>
  `(select ${column} from ${table} where group_id = ${groupId} order by seq desc limit 1)`;

/** SQL of the newest position of a row `group` of `groups`. `newestMessage` is that of its newest message, for a statement that has looked it up already. */
export const headOf = (group: string, newestMessage = newest('seq', 'messages', `${group}.id`)): string =>
  `greatest(${newestMessage}, ${newest('seq', 'events', `${group}.id`)}, ${group}.floor_seq)`;

/**
 * SQL of the time at which something last happened in a row `group` of `groups`. Of a group that is not in `backlog` the outbox knows it, so that
 * a user's groups are put in order without a look into their histories.
 */
export const activityOf = (group: string): string =>
  `case when exists (select 1 from backlog where group_id = ${group}.id)
     then greatest(${newest('created_at', 'messages', `${group}.id`)}, ${newest('created_at', 'events', `${group}.id`)}, ${group}.created_at)
     else greatest((select active_at from outbox where group_id = ${group}.id limit 1), ${group}.created_at) end`;

/**
 * SQL of the newest position in `groupId` at which `senderId` has sent a message, or null. Its order is that of one index alone: by `seq`, or without an
 * order, the planner may rather read back from the head, which takes long for a sender who has said nothing since.
 */
export const lastSeqBy = (groupId: string, senderId: string): string =>
  `(select seq from messages where group_id = ${groupId} and (sender_id, seq) > (${senderId}, 0)
    and (sender_id, seq) <= (${senderId}, ${Number.MAX_SAFE_INTEGER}) order by sender_id desc, seq desc limit 1)`;
