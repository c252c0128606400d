import { lastSeqBy } from '../events/history-rows.ts';

/**
 * SQL of a member's read cursor: where `member`, a row of `group_members`, has it, or at the last message that they sent. One's own messages are
 * read, and sending one moves no row.
 */
export const readSeqOf = (member: string): string =>
  `greatest(${member}.read_seq, ${lastSeqBy(`${member}.group_id`, `${member}.user_id`)})`;

/**
 * SQL of how many messages of the row `group` of `groups` lie above `readSeq`: the difference of two ordinals, less those that are deleted by
 * now. So it depends on the deletions among them, and not on how many there are. `readSeq` has to be a read cursor by `readSeqOf`, above which
 * none of the member's own messages lie. `newestOrdinal` is the ordinal of the group's newest message, for a statement that has looked it up already.
 */
export const unreadAbove = (
  group: string,
  readSeq: string,
  newestOrdinal = `(select ordinal from messages where group_id = ${group}.id order by seq desc limit 1)`,
): string =>
  `(coalesce(
     ${newestOrdinal}
     - (select ordinal from messages where group_id = ${group}.id and seq > ${readSeq} order by seq limit 1) + 1, 0)
   - (select count(*) from messages where group_id = ${group}.id and seq > ${readSeq} and deleted_at is not null))::int`;
