/**
 * The parts that a service has started, in order of start. Each pushes its stop as soon as it runs, so that a start that fails halfway stops
 * the parts that run, in the same way as a service that ends.
 */
export interface StopStack {
  /** Throws once everything has been stopped, since this part would never be. */
  push(stop: () => unknown): void;
  /**
   * Stops the parts one after the other, the last one first. A part that fails keeps no other from being stopped; then the promise rejects
   * with its error, or with an `AggregateError` of several. Further calls wait for the first one.
   */
  stop(): Promise<void>;
  /** True from the call of `stop` on. */
  readonly isStopping: boolean;
}

export function createStopStack(): StopStack {
  const parts: (() => unknown)[] = [];
  let stopping: Promise<void> | undefined;
  let isDone = false;

  async function stopAll(): Promise<void> {
    const errors: unknown[] = [];
    for (let part = parts.pop(); part; part = parts.pop()) {
      try {
        await part();
      } catch (error) {
        errors.push(error);
      }
    }
    isDone = true;
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `unable to stop; ${errors.length} parts failed`);
  }

  return {
    push(stop) {
      if (isDone) throw new Error('unable to start another part; everything has been stopped');
      parts.push(stop);
    },
    async stop() {
      stopping ??= stopAll();
      return stopping;
    },
    get isStopping() {
      return stopping !== undefined;
    },
  };
}
