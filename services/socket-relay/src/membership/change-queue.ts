import type { Position } from '@groupcast/shared';

/** One change of members. All its users share it, so a pair of user and group costs a slot of a map and not an object. */
export interface RememberedChange {
  readonly kind: 'removed' | 'added';
  readonly groupId: string;
  /** The users that the change is about. Empty if it was about everybody. */
  userIds: readonly string[];
  /** Second of the wall clock, to be compared with an `iat`. */
  readonly second: number;
  readonly version: number;
  readonly position: Position | undefined;
  /** When it is forgotten, by a clock that only goes forward. */
  until: number;
}

/** Changes in the order in which they are forgotten: when their time has come, or because there are too many. */
export interface ChangeQueue {
  push(change: RememberedChange): void;
  /** The change is about fewer users now. Returns false if the change is not in this queue. */
  shrink(change: RememberedChange, userIds: readonly string[]): boolean;
  /** Forgets every change whose time has come. */
  sweep(now: number): void;
  entries(): number;
}

/** Part of a full queue that is let go at once, so that its front is looked through only now and then. */
const SLACK = 0.05;

export function createChangeQueue(options: {
  /** Most users of all changes together. A change about everybody counts as one. */
  maxEntries: number;
  forget: (change: RememberedChange, why: 'expired' | 'overflow') => void;
}): ChangeQueue {
  const { maxEntries, forget } = options;
  const changes = new Set<RememberedChange>();
  let entries = 0;

  // The change itself is an entry too, so a change without users counts as well.
  const weigh = ({ userIds }: RememberedChange): number => 1 + userIds.length;

  function drop(change: RememberedChange, why: 'expired' | 'overflow'): void {
    changes.delete(change);
    entries -= weigh(change);
    forget(change, why);
  }

  return {
    push(change) {
      changes.add(change);
      entries += weigh(change);
      if (entries <= maxEntries) return;
      for (const oldest of changes) {
        // A change that is larger than the whole queue is remembered all the same, until the next one comes.
        if (entries <= maxEntries * (1 - SLACK) || oldest === change) return;
        drop(oldest, 'overflow');
      }
    },
    shrink(change, userIds) {
      if (!changes.has(change)) return false;
      entries -= weigh(change);
      change.userIds = userIds;
      entries += weigh(change);
      return true;
    },
    sweep(now) {
      for (const change of changes) {
        if (change.until > now) return;
        drop(change, 'expired');
      }
    },
    entries: () => entries,
  };
}
