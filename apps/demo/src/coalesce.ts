/**
 * Runs `work` at most once at a time. A call during a run starts one more run after it, shared by everybody who
 * called meanwhile: so whatever was true when you called, a complete run has seen it when the promise resolves.
 */
export function coalesce(work: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined;
  let following: Promise<void> | undefined;

  const start = (): Promise<void> => {
    current = work().finally(() => {
      current = undefined;
    });
    return current;
  };

  return () => {
    if (following) return following;
    if (!current) return start();
    following = current
      .catch(() => undefined)
      .then(() => {
        following = undefined;
        return start();
      });
    return following;
  };
}
