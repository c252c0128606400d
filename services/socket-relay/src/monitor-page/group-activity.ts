import type { MonitorEvent } from '@groupcast/shared';

/** Length of a window, in milliseconds. The last whole ones and the current one make up the minute. */
const WINDOW_MS = 10_000;
const WINDOWS = 6;
/** Groups that one window counts. Others are left out until the next one. */
const MAX_GROUPS = 2_000;

interface Activity {
  events: number;
  deliveries: number;
}

/** Counts events of groups in the last minute, as far as somebody was watching. */
export interface GroupActivity {
  note: (event: MonitorEvent) => void;
  lastMinute(): Map<string, Activity>;
}

export function createGroupActivity(now: () => number = () => performance.now()): GroupActivity {
  let windows: { number: number; groups: Map<string, Activity> }[] = [];

  function current(): Map<string, Activity> {
    const number = Math.floor(now() / WINDOW_MS);
    windows = windows.filter((window) => number - window.number < WINDOWS);
    const newest = windows.at(-1);
    if (newest?.number === number) return newest.groups;
    const groups = new Map<string, Activity>();
    windows.push({ number, groups });
    return groups;
  }

  return {
    note(event) {
      if (event.kind !== 'broadcast' || event.duplicate) return;
      const groups = current();
      const known = groups.get(event.groupId);
      if (!known && groups.size >= MAX_GROUPS) return;
      const { events, deliveries } = known ?? { events: 0, deliveries: 0 };
      groups.set(event.groupId, { events: events + 1, deliveries: deliveries + event.connections });
    },
    lastMinute() {
      current();
      const all = new Map<string, Activity>();
      for (const [groupId, { events, deliveries }] of windows.flatMap(({ groups }) => [...groups])) {
        const known = all.get(groupId);
        all.set(groupId, {
          events: (known?.events ?? 0) + events,
          deliveries: (known?.deliveries ?? 0) + deliveries,
        });
      }
      return all;
    },
  };
}
