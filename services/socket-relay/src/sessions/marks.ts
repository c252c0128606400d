/**
 * A moment in what a node hands to its members: `upTo` of its deliveries had been handed over at `at`, in milliseconds of the monotonic clock.
 * Connections of one moment share the object, so that each has only two references.
 */
export interface Mark {
  readonly upTo: number;
  readonly at: number;
}

/** A mark before every delivery. */
export const NO_MARK: Mark = { upTo: 0, at: 0 };

/** Moments this close to each other are one, in milliseconds, if nothing was handed over between them. */
const SAME_MOMENT_MS = 50;

/** The delivery numbers of a node: how many events it has handed to its members. */
export interface Marks {
  /** The number of the last delivery. */
  readonly last: number;
  /** Returns the number of the next delivery, which is made now. */
  next(): number;
  now(): Mark;
  /** Returns a mark for no more than `upTo` deliveries. */
  until(upTo: number): Mark;
}

export function createMarks(clock: () => number = () => performance.now()): Marks {
  let last = 0;
  let newest = NO_MARK;

  function until(upTo: number): Mark {
    const at = clock();
    if (newest.upTo !== upTo || at - newest.at > SAME_MOMENT_MS) newest = { upTo, at };
    return newest;
  }

  return {
    get last() {
      return last;
    },
    next() {
      last += 1;
      return last;
    },
    now: () => until(last),
    until,
  };
}
