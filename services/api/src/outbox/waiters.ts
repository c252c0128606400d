import type { OutboxStore } from './outbox-store.ts';

/** How often a waiter asks the database: another process may be the one that dispatches. */
const WATCH_INTERVAL_MS = 100;

/** The callers that wait until the relay has accepted an event of a group. */
export interface Waiters {
  /** This process has brought the group's events up to `seq` to the relay. */
  settled(groupId: string, seq: number): void;
  /** Resolves true once the relay has accepted the group's events up to `seq`, false after `timeoutMs`. */
  whenDispatched(groupId: string, seq: number, timeoutMs: number): Promise<boolean>;
}

export function createWaiters(store: Pick<OutboxStore, 'dispatchedSeq'>): Waiters {
  const waiters = new Map<string, Set<{ seq: number; done: () => void }>>();

  /** Asks the database at intervals, one question at a time, and calls `onDispatched` once the answer is far enough. */
  function watch(groupId: string, seq: number, onDispatched: () => void): NodeJS.Timeout {
    let isAsking = false;
    return setInterval(() => {
      if (isAsking) return;
      isAsking = true;
      store
        .dispatchedSeq(groupId)
        .then(
          (dispatched) => {
            if (dispatched >= seq) onDispatched();
          },
          () => undefined,
        )
        .finally(() => {
          isAsking = false;
        });
    }, WATCH_INTERVAL_MS);
  }

  return {
    settled(groupId, seq) {
      for (const waiter of waiters.get(groupId) ?? []) if (waiter.seq <= seq) waiter.done();
    },
    async whenDispatched(groupId, seq, timeoutMs) {
      return new Promise<boolean>((resolve) => {
        const finish = (result: boolean): void => {
          clearTimeout(timer);
          clearInterval(watching);
          const set = waiters.get(groupId);
          set?.delete(waiter);
          if (set?.size === 0) waiters.delete(groupId);
          resolve(result);
        };
        const waiter = { seq, done: () => finish(true) };
        const timer = setTimeout(() => finish(false), timeoutMs);
        const watching = watch(groupId, seq, waiter.done);
        const set = waiters.get(groupId) ?? new Set();
        waiters.set(groupId, set.add(waiter));
      });
    },
  };
}
