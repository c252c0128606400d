import type { MemberChange } from '@groupcast/shared';

/** A change of members with its number in their order. */
export interface BusChange {
  id: string;
  change: MemberChange;
  /** Second of the wall clock, to be compared with an `iat`. */
  second: number;
}

/** The changes of members that a starting worker has to know. */
export interface BusChanges {
  append(change: MemberChange): BusChange;
  /** Returns the kept changes, and since when (Unix seconds) they are complete. */
  past(): { bornAt: number; changes: readonly BusChange[] };
}

export interface BusChangesOptions {
  memoryMs: number;
  /** Most users of all changes together. Beyond it the oldest changes are dropped, and the memory is younger for it. */
  maxEntries: number;
  /** The wall clock, in milliseconds. */
  now?: () => number;
  /** A clock that only goes forward, in milliseconds. */
  monotonic?: () => number;
}

export function createBusChanges(options: BusChangesOptions): BusChanges {
  const { memoryMs, maxEntries, now = Date.now, monotonic = () => performance.now() } = options;
  const seconds = (): number => Math.floor(now() / 1_000);
  const kept = new Set<{ stored: BusChange; at: number }>();
  let bornAt = seconds();
  let entries = 0;
  let lastId = 0;

  const weigh = (change: MemberChange): number => 1 + ('userIds' in change ? change.userIds.length : 0);

  function trim(): void {
    const oldest = monotonic() - memoryMs;
    // Drops some at once, so that the front is looked for only now and then.
    const room = entries > maxEntries ? maxEntries * 0.95 : maxEntries;
    for (const item of kept) {
      if (item.at >= oldest && (entries <= room || kept.size === 1)) return;
      kept.delete(item);
      entries -= weigh(item.stored.change);
      bornAt = Math.max(bornAt, item.stored.second + 1);
    }
  }

  return {
    append(change) {
      lastId += 1;
      const stored: BusChange = { id: String(lastId), change, second: seconds() };
      kept.add({ stored, at: monotonic() });
      entries += weigh(change);
      trim();
      return stored;
    },
    past: () => ({ bornAt, changes: [...kept].map(({ stored }) => stored) }),
  };
}
