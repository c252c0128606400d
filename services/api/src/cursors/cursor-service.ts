import type { CursorUpdates, Position } from '@groupcast/shared';
import { type Database, type Queryable, snapshot } from '../db/database.ts';
import { readGroupAs } from '../groups/group-store.ts';
import { MAX_NAMED_MEMBERS, type MovedCursors, storeCursors } from './cursor-store.ts';
import { type Counts, type CountsOf, countReceipts, readMemberCursors, readOwnCounts } from './receipt-store.ts';

/** The facts with which a relay shows moved cursors, by group. */
export type GroupsAnswer = Record<
  string,
  { memberCount: number; seq?: number; counts?: CountsOf[]; notMembers?: string[] }
>;

/**
 * Answers by group the facts with which a relay shows moved cursors: the number of members and, where they are too many to be named, the counts
 * for senders whose newest message the cursors have moved over. With `heads`, where the groups stand, too.
 */
export async function describeMoved(
  q: Queryable,
  memberCounts: ReadonlyMap<string, number>,
  moved: readonly MovedCursors[],
  heads?: ReadonlyMap<string, number>,
): Promise<GroupsAnswer> {
  const isLarge = ({ groupId }: MovedCursors): boolean => (memberCounts.get(groupId) ?? 0) > MAX_NAMED_MEMBERS;
  const counts = await countReceipts(q, moved.filter(isLarge), memberCounts);
  const answers = [...memberCounts].map(([groupId, memberCount]) => {
    const [ofGroup, seq] = [counts.get(groupId), heads?.get(groupId)];
    return [
      groupId,
      { memberCount, ...(seq === undefined ? {} : { seq }), ...(ofGroup ? { counts: ofGroup } : {}) },
    ] as const;
  });
  return Object.fromEntries(answers);
}

/** Stores what a relay has been told. */
export async function reportCursors(
  db: Database,
  updates: CursorUpdates['cursors'],
): Promise<{ groups: GroupsAnswer }> {
  const { memberCounts, moved, heads, strangers } = await storeCursors(db, updates);
  const groups = await describeMoved(db, memberCounts, moved, heads);
  for (const [groupId, notMembers] of strangers) groups[groupId] = { memberCount: 0, ...groups[groupId], notMembers };
  return { groups };
}

/** How far the members are: each of them or, in large groups, how many have received and read one's own newest message. */
export type Receipts = { memberCount: number; position: Position } & (
  | { users: Record<string, { received: number; read: number }> }
  | { counts: Counts | null }
);

export async function readReceipts(db: Database, input: { groupId: string; userId: string }): Promise<Receipts> {
  const { groupId, userId } = input;
  return snapshot(db, async (tx) => {
    const { epoch, seq, member_count: memberCount } = await readGroupAs(tx, groupId, userId);
    const common = { memberCount, position: { epoch, seq } };
    if (memberCount > MAX_NAMED_MEMBERS) return { ...common, counts: await readOwnCounts(tx, groupId, userId) };
    return { ...common, users: await readMemberCursors(tx, groupId) };
  });
}
