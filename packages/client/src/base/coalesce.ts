/**
 * Runs `work` at most once at a time. A call during a run starts one more run after it, which all calls of
 * that time share: when the promise resolves, a complete run has seen everything that was true at the time of the call.
 */
export function coalesce<T>(work: () => Promise<T>): () => Promise<T> {
  let current: Promise<T> | undefined;
  let following: Promise<T> | undefined;

  function start(): Promise<T> {
    current = work().finally(() => {
      current = undefined;
    });
    return current;
  }

  return () => {
    if (following) return following;
    if (!current) return start();
    const next = (): Promise<T> => {
      following = undefined;
      return start();
    };
    following = current.then(next, next);
    return following;
  };
}
