import { generationOf, type Position, relationOf } from '@groupcast/shared';

/** The verdict on an event that comes in: it goes to members, waits for the events before it, or was there before. */
export type Verdict = 'deliver' | 'hold' | 'known';

/**
 * The rule. An event that follows directly on the node's cursor goes on, and so does one that has no position. An event above that waits
 * for the events in between. Where an epoch begins, the event with the number 1 goes on; a higher number waits, because other nodes may
 * have given out the numbers before it, and their events are still on their way. The same is true for the first events of a group whose
 * members came while its log was empty.
 */
export function judgeArrival(
  cursor: Position | null,
  position: Position | null,
  { awaitsBeginning }: { awaitsBeginning: boolean },
): Verdict {
  if (!position) return 'deliver';
  if (!cursor) return awaitsBeginning && position.seq > 1 ? 'hold' : 'deliver';
  const relation = relationOf(cursor, position);
  switch (relation) {
    case 'next':
      return 'deliver';
    case 'behind':
      return 'known';
    case 'ahead':
      return 'hold';
    case 'newer':
      return startsAnew(cursor, position) && position.seq > 1 ? 'hold' : 'deliver';
    case 'older':
      // The fan-out hands it to nobody.
      return 'deliver';
    default: {
      const unreachable: never = relation;
      return unreachable;
    }
  }
}

/** The position is of a higher generation, which replaces the cursor's. Of two epochs of one generation neither does. */
export function startsAnew(cursor: Position, position: Position): boolean {
  return generationOf(position.epoch) > generationOf(cursor.epoch);
}

/** Whether a node with this cursor lacks something of a log that stands at `head`. A node without a cursor lacks everything. */
export function isBehind(cursor: Position | null, head: Position): boolean {
  if (!cursor) return true;
  const relation = relationOf(cursor, head);
  switch (relation) {
    case 'next':
    case 'ahead':
      return true;
    case 'newer':
      return startsAnew(cursor, head);
    case 'behind':
    case 'older':
      return false;
    default: {
      const unreachable: never = relation;
      return unreachable;
    }
  }
}
