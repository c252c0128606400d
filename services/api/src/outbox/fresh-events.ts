import type { StoredEvent } from '../events/stored-event.ts';

/** Most events of one group, and characters of all together, that are kept. */
const MAX_EVENTS = 500;
const MAX_CHARACTERS = 4_194_304;

/**
 * Events that this process has just saved, so that a group that it holds need not read them again. They are no more than a short cut: whatever is
 * missing here is in the database.
 */
export interface FreshEvents {
  put(groupId: string, event: StoredEvent): void;
  /** Removes and answers the group's events where they go on from `afterSeq` without a hole; otherwise removes them. */
  take(groupId: string, afterSeq: number): StoredEvent[] | undefined;
  /** Removes the group's events: another process may send them. */
  drop(groupId: string): void;
}

export function createFreshEvents(): FreshEvents {
  const groups = new Map<string, { events: StoredEvent[]; characters: number }>();
  let characters = 0;

  function remove(groupId: string): StoredEvent[] {
    const kept = groups.get(groupId);
    groups.delete(groupId);
    characters -= kept?.characters ?? 0;
    return kept?.events ?? [];
  }

  return {
    put(groupId, event) {
      const size = JSON.stringify(event.payload).length;
      const kept = groups.get(groupId) ?? { events: [], characters: 0 };
      // One that is left out makes a hole, so that what comes after it is not taken from here either.
      if (kept.events.length >= MAX_EVENTS || characters + size > MAX_CHARACTERS) return;
      kept.events.push(event);
      kept.characters += size;
      characters += size;
      groups.set(groupId, kept);
    },
    take(groupId, afterSeq) {
      const events = remove(groupId)
        .filter(({ seq }) => seq > afterSeq)
        .toSorted((a, b) => a.seq - b.seq);
      const isWhole = events.every(({ seq }, index) => seq === afterSeq + 1 + index);
      return isWhole && events.length > 0 ? events : undefined;
    },
    drop: (groupId) => void remove(groupId),
  };
}
