import { EVENTS_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import type { Transient } from '../transient/transient.ts';
import type { Audience } from './audience.ts';

/**
 * Tells the other connections of a user how far the user has read, so that a group is read in all windows at once: as far as the user's budget
 * on each relay goes, since a user may have 1,000 connections and read 1,000 groups at once.
 */
export interface ReadCursors {
  /** The user has read so far, on this connection if it is one of the relay's. */
  moved(groupId: string, userId: string, readSeq: number, exceptSocketId?: string): void;
}

export function createReadCursors(deps: {
  transient: Transient;
  audience: Audience;
  budgets: UserBudgets;
}): ReadCursors {
  const { transient, audience, budgets } = deps;
  transient.on('read-cursor', ({ groupId, userId, readSeq, exceptSocketId }) => {
    const count = audience.countOf(userId);
    if (count === 0 || budgets.of(userId).reserveWork(count / EVENTS_PER_UNIT, 0) === undefined) return 0;
    const sockets = audience.ofUser(groupId, userId, exceptSocketId);
    audience.to(sockets)?.emit('read-cursor', { groupId, readSeq });
    return sockets.length;
  });
  return {
    moved(groupId, userId, readSeq, exceptSocketId) {
      const except = exceptSocketId === undefined ? {} : { exceptSocketId };
      transient.tell('read-cursor', { groupId, userId, readSeq, ...except });
    },
  };
}
