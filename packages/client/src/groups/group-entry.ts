import type { GroupEvent, GroupSummary, Position } from '@groupcast/shared';
import { isAfter } from '@groupcast/shared/positions';
import { parseList, parseUserId } from '../base/parse.ts';
import { withEvent, withUnread } from './group-summary.ts';

/** A group in the list, with the positions up to which its fields include events. */
export interface GroupEntry {
  /** The group, whose `readSeq` may be ahead of the API's. */
  group: GroupSummary;
  /** The description of the group includes the events up to here. */
  asOf: Position;
  /** The unread count includes the events up to here. */
  counted: Position;
  /** No message that is counted lies above this `seq`; the newest one may be deleted. */
  newestSeq: number;
  /** When the last message was sent, even if it was deleted: the list is sorted by it. */
  activeAt: string;
}

/** Whether everything has been read now, or a part of it. */
export type ReadOutcome = 'all' | 'part' | 'no news';

/** Applies the events that the entry does not include yet; answers whether the group has changed. */
export function applyEvents(entry: GroupEntry, events: readonly GroupEvent[], me: string | undefined): boolean {
  const before = entry.group;
  for (const event of events) {
    if (isRemovalOf(me, event)) beginMembership(entry, event.seq);
    const at = { epoch: event.epoch, seq: event.seq };
    if (event.event === 'new-message') entry.newestSeq = Math.max(entry.newestSeq, event.seq);
    if (isAfter(at, entry.counted)) {
      entry.group = withUnread(entry.group, event, me);
      entry.counted = at;
    }
    if (!isAfter(at, entry.asOf)) continue;
    entry.group = { ...withEvent(entry.group, event), position: at };
    entry.asOf = at;
    const { lastMessage } = entry.group;
    if (event.event === 'new-message' && lastMessage) entry.activeAt = latest(entry.activeAt, lastMessage.createdAt);
  }
  return entry.group !== before;
}

/**
 * The entry of a group as the API lists it, with the events that have `passed` since and with the reading that the API did not know of
 * yet. Its group is the same object as before where nothing has changed.
 */
export function entryOf(
  listed: GroupSummary,
  before: GroupEntry | undefined,
  passed: readonly GroupEvent[],
  me: string | undefined,
): GroupEntry {
  const { id, position, lastMessage } = listed;
  const lastSeq = lastMessage?.seq ?? 0;
  const entry: GroupEntry = {
    group: listed,
    asOf: position,
    counted: position,
    newestSeq: lastSeq,
    activeAt: latest(before?.activeAt, lastMessage?.createdAt ?? listed.createdAt),
  };
  if (before?.counted.epoch === position.epoch && before.group.readSeq > listed.readSeq) {
    const { readSeq, unreadCount } = before.group;
    entry.group = { ...listed, readSeq, unreadCount: readSeq >= lastSeq ? 0 : unreadCount };
    if (readSeq < lastSeq) entry.counted = before.counted;
  }
  applyEvents(
    entry,
    passed.filter((event) => event.groupId === id && isAfter(event, position)),
    me,
  );
  if (before && JSON.stringify(before.group) === JSON.stringify(entry.group)) entry.group = before.group;
  return entry;
}

/** Whether the event ends the user's membership of the group, which another one may follow. */
export function isRemovalOf(userId: string | undefined, event: GroupEvent): boolean {
  return event.event === 'member-removed' && parseList(event['userIds'], parseUserId).some((id) => id === userId);
}

/** A read cursor below the removal is of the membership before it; the next one begins with a cursor that only the API knows. */
function beginMembership(entry: GroupEntry, removedAt: number): void {
  if (entry.group.readSeq > 0 && entry.group.readSeq < removedAt) entry.group = { ...entry.group, readSeq: 0 };
}

/** Notes that everything up to `seq` was read. Of the rest only the API knows how many are unread. */
export function readUpTo(entry: GroupEntry, seq: number): ReadOutcome {
  const { readSeq, unreadCount } = entry.group;
  if (seq <= readSeq) return 'no news';
  const isAll = seq >= entry.newestSeq;
  entry.group = { ...entry.group, readSeq: seq, unreadCount: isAll ? 0 : unreadCount };
  return isAll ? 'all' : 'part';
}

/** The later of two ISO 8601 times in UTC. */
function latest(a: string | undefined, b: string): string {
  return a !== undefined && a > b ? a : b;
}
