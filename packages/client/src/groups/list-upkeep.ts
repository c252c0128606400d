import { type Clock, type Moment, millisecondsSince } from '../environment.ts';
import type { Groups } from './groups.ts';

/** Shortest absence during which the user may have come into groups that neither the token nor the positions name, in milliseconds. */
const LONG_ABSENCE_MS = 15_000;
/** Many clients have the same reason to read the list again; each picks a moment within this time, in milliseconds. */
const LIST_SPREAD_MS = 2_000;

/**
 * Decides when the list of groups is read again. After a long absence it is read at once. After a short one only the list says what was
 * read in another window meanwhile; it waits for an occasion, so that a reconnect costs the API nothing.
 */
export interface ListUpkeep {
  /** Reads the list in a moment. */
  readSoon: () => void;
  /** The list was read; the reading began at this time of the clock. */
  wasRead: (begunAt: number) => void;
  /** The connection is gone, which was last heard at this moment. */
  down: (heardAt: Moment) => void;
  /** There is a connection. */
  opened: () => void;
  /** The API was asked for something else anyway, or somebody has come back to the page: the list is read if it is old. */
  onOccasion: () => void;
}

export function createListUpkeep({
  groups,
  random,
  clock,
}: {
  groups: Pick<Groups, 'refreshWithin'>;
  random: () => number;
  clock: Clock;
}): ListUpkeep {
  let downAt: Moment | undefined;
  /** There was an absence since the list was read. */
  let isOld = false;
  let openedAt = 0;
  const readSoon = (): void => groups.refreshWithin(random() * LIST_SPREAD_MS);

  return {
    readSoon,
    wasRead(begunAt) {
      if (begunAt >= openedAt) isOld = false;
    },
    down(heardAt) {
      downAt = heardAt;
    },
    opened() {
      if (downAt === undefined) return;
      isOld = true;
      openedAt = clock.now();
      if (millisecondsSince(downAt) > LONG_ABSENCE_MS) readSoon();
    },
    onOccasion() {
      if (isOld) readSoon();
    },
  };
}
