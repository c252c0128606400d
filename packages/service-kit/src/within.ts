/** The work took longer than it was given. It goes on by itself. */
export class TimedOut extends Error {
  override readonly name = 'TimedOut';
}

/**
 * Settles as `work` does, or rejects with `TimedOut` after `ms` milliseconds. `what` ends the sentence "waited 500 ms for …". Work that is
 * late is not stopped, and how it ends is ignored: a rejection that nobody waits for any more is not an unhandled one.
 */
export async function within<T>(ms: number, work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new TimedOut(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
