import type { CursorsAnswer, CursorUpdates } from '@groupcast/shared';

export type StoredCursor = CursorUpdates['cursors'][number];

const atMost = (cursor: number | undefined, head: number): number | undefined => cursor && Math.min(cursor, head);

/**
 * The cursors of these updates as the back end has stored them, by its answer: none of users who are no members, and none above where the
 * group stands. Clients may name any number, which `said` has, and nobody may be shown to have read what was not said yet.
 */
export function storedCursors(
  updates: readonly StoredCursor[],
  groups: CursorsAnswer['groups'] = {},
): (Pick<StoredCursor, 'groupId' | 'userId' | 'received' | 'read'> & { said: number | undefined })[] {
  const strangers = new Map(Object.entries(groups).map(([groupId, { notMembers }]) => [groupId, new Set(notMembers)]));
  return updates.flatMap(({ groupId, userId, received, read }) => {
    if (strangers.get(groupId)?.has(userId)) return [];
    const head = groups[groupId]?.seq ?? Number.POSITIVE_INFINITY;
    return [{ groupId, userId, received: atMost(received, head), read: atMost(read, head), said: read }];
  });
}
