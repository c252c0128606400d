/** Waits for a turn of the event loop of one's own: everybody who waits goes on in another one, in the order in which they came. */
export type TurnQueue = () => Promise<void>;

/**
 * One answer of the API is for many connections, and each may have asked for thousands of groups. If all of them went on with it at once, everybody
 * else would wait.
 */
export function createTurnQueue(): TurnQueue {
  let last: Promise<void> = Promise.resolve();
  return async () => {
    const own = last.then(async () => new Promise<void>((resolve) => setImmediate(resolve)));
    last = own;
    return own;
  };
}
