/** Work that is begun in one turn of the event loop, in groups. */
const GROUPS_PER_TURN = 2_000;

interface Waiting {
  groups: number;
  begin: () => void;
}

/** Resolves in a turn of the event loop that is not taken yet by others, in the order of the calls. `groups`: how many the caller goes on with. */
export type TurnQueue = (groups: number) => Promise<void>;

/**
 * One answer of the API is for many connections, and each may have asked for thousands of groups. If all of them went on with it at once,
 * everybody else would wait.
 */
export function createTurnQueue(): TurnQueue {
  let waiting: Waiting[] = [];

  function beginSome(): void {
    let groups = 0;
    let begun = 0;
    for (const next of waiting) {
      if (groups > 0 && groups + next.groups > GROUPS_PER_TURN) break;
      groups += next.groups;
      begun += 1;
      next.begin();
    }
    waiting = waiting.slice(begun);
    if (waiting.length > 0) setImmediate(beginSome);
  }

  return async (groups) =>
    new Promise<void>((begin) => {
      if (waiting.push({ groups, begin }) === 1) setImmediate(beginSome);
    });
}
