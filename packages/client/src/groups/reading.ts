import type { Position } from '@groupcast/shared';
import type { Api } from '../api/api.ts';
import { coalesce } from '../base/coalesce.ts';
import type { CursorReport } from './cursors.ts';
import type { Groups } from './groups.ts';

/** Most requests for one count: an answer may be out of date when it comes. */
const MAX_RECOUNTS = 3;

export interface Reading {
  /** Everything up to `seq` was read, or up to the group's head where `seq` is beyond it. */
  mark: (groupId: string, seq: number) => void;
  /** The same user has read up to `seq` in another window, which has reported it. */
  readElsewhere: (groupId: string, seq: number) => void;
  /** The API's list says that the user has read up to `readSeq`, and where the group stood then. */
  listed: (groupId: string, position: Position, readSeq: number) => void;
  /** Later marks have no effect. */
  stop: () => void;
}

/**
 * Keeps how far a person has read. A group that was read to its end is reported to the relay in a batch. After a part of it only the API
 * can count the unread messages: it is asked once per group at a time, about the newest read cursor.
 */
export function createReading(deps: {
  groups: Pick<Groups, 'get' | 'read' | 'counted'>;
  cursors: Pick<CursorReport, 'read' | 'unheard'>;
  positionOf: (groupId: string) => Position | null;
  /** How far the group is known to have got; `undefined` where nothing is known of it. */
  headOf: (groupId: string) => number | undefined;
  markRead: Api['markRead'];
}): Reading {
  const { groups, cursors } = deps;
  const questions = new Map<string, () => Promise<void>>();
  /** How far this window itself was marked as read, by group: what others say is theirs to report. */
  const marked = new Map<string, number>();
  let stopped = false;

  async function ask(groupId: string): Promise<void> {
    for (let count = 0; count < MAX_RECOUNTS; count += 1) {
      const seq = groups.get(groupId)?.readSeq;
      if (seq === undefined) return;
      try {
        const { unreadCount, position } = await deps.markRead(groupId, seq);
        if (!position || groups.counted(groupId, seq, { unreadCount, position })) return;
      } catch {
        return cursors.read(groupId, seq);
      }
    }
  }

  /** A part of the group was read, and only the API can count the rest. */
  function recount(groupId: string): void {
    const question = questions.get(groupId) ?? coalesce(async () => ask(groupId));
    questions.set(groupId, question);
    void question().then(() => questions.delete(groupId));
  }

  return {
    mark(groupId, upTo) {
      if (stopped) return;
      const seq = Math.min(upTo, deps.headOf(groupId) ?? upTo);
      const outcome = groups.read(groupId, seq);
      if (outcome !== 'no news') marked.set(groupId, seq);
      if (outcome === 'all') cursors.read(groupId, seq);
      else if (outcome === 'part') recount(groupId);
    },
    readElsewhere(groupId, seq) {
      if (!stopped && groups.get(groupId) && groups.read(groupId, seq) === 'part') recount(groupId);
    },
    listed(groupId, position, readSeq) {
      const own = Math.min(marked.get(groupId) ?? 0, groups.get(groupId)?.readSeq ?? 0, position.seq);
      const at = deps.positionOf(groupId);
      // Until all events have come one of them may be a removal, and the list may be about the membership after it.
      const isCurrent = at?.epoch === position.epoch && at.seq >= position.seq;
      if (own > readSeq && isCurrent) cursors.unheard(groupId, own);
    },
    stop() {
      stopped = true;
    },
  };
}
