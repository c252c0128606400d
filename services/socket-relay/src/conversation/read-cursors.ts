import { EVENTS_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import type { Transient } from '../transient/transient.ts';
import type { Audience } from './audience.ts';
import type { StoredCursor } from './stored-cursors.ts';

/**
 * Tells the other connections of a user how far the user has read, so that a group is read in all windows at once: as far as the user's budget
 * on each relay goes, since a user may have 1,000 connections and read 1,000 groups at once.
 */
export interface ReadCursors {
  /** The user has read so far, on this connection if it is one of the relay's. */
  moved(groupId: string, userId: string, readSeq: number, exceptSocketId?: string): void;
  /**
   * A client says that the user has read so far. It may name any number: up to `head`, where this relay knows that the group stands, it is
   * shown at once, and beyond that as the back end has stored it.
   */
  reported(read: { groupId: string; userId: string; readSeq: number; head: number; socketId: string }): void;
  /** The back end has stored these cursors, as they are. `said`: what the user's clients had named. */
  stored(cursors: readonly (StoredCursor & { said?: number | undefined })[]): void;
}

/** Most users and groups of whom a read waits until it is stored; the oldest makes room, and is not shown. */
const MAX_WAITING = 10_000;

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
  /** The furthest that was named beyond what the relay knows of, and the connection that has named it, by group and user. */
  const waiting = new Map<string, { readSeq: number; socketId: string }>();
  const keyOf = (groupId: string, userId: string): string => `${groupId} ${userId}`;

  function moved(groupId: string, userId: string, readSeq: number, exceptSocketId?: string): void {
    const except = exceptSocketId === undefined ? {} : { exceptSocketId };
    transient.tell('read-cursor', { groupId, userId, readSeq, ...except });
  }

  return {
    moved,
    reported({ groupId, userId, readSeq, head, socketId }) {
      if (readSeq <= head) return moved(groupId, userId, readSeq, socketId);
      const key = keyOf(groupId, userId);
      if (readSeq > (waiting.get(key)?.readSeq ?? 0)) waiting.set(key, { readSeq, socketId });
      const [oldest] = waiting.keys();
      if (waiting.size > MAX_WAITING && oldest !== undefined) waiting.delete(oldest);
    },
    stored(cursors) {
      for (const { groupId, userId, read, said = 0 } of cursors) {
        const key = keyOf(groupId, userId);
        const named = waiting.get(key);
        // An answer to an earlier report leaves the later one waiting.
        if (named === undefined || read === undefined || said < named.readSeq) continue;
        waiting.delete(key);
        moved(groupId, userId, read, named.socketId);
      }
    },
  };
}
