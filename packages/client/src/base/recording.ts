import type { GroupEvent } from '@groupcast/shared';

/**
 * Events that pass while a snapshot is being read. The snapshot says at which position it was taken, and later
 * events are replayed onto it; otherwise an edit that passed while the page was on its way would be lost.
 */
export interface Recording {
  /** Starts one; `stop` answers the events that have passed since. */
  start: () => { stop: () => readonly GroupEvent[] };
  add: (events: readonly GroupEvent[]) => void;
}

export function createRecording(): Recording {
  const open = new Set<GroupEvent[]>();
  return {
    start() {
      const recorded: GroupEvent[] = [];
      open.add(recorded);
      return {
        stop() {
          open.delete(recorded);
          return recorded;
        },
      };
    },
    add(events) {
      for (const recorded of open) recorded.push(...events);
    },
  };
}
