import { createFairQueue, TimedOut, within } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';

export interface CallQueueLimits {
  /** Calls at once, and those of one user among them. */
  atOnce: number;
  atOncePerUser: number;
  /** Calls that wait, and those of one user among them. */
  waiting: number;
  waitingPerUser: number;
  /** Longest that a call waits for its turn, in milliseconds. */
  maxWaitMs: number;
}

/**
 * Bounds the calls of one kind that are made and that wait, in which users take turns: a back end that hangs holds no more of them, and one
 * user holds up no other.
 */
export interface CallQueue {
  /**
   * Does `work` when it is its turn. Throws `API_UNAVAILABLE` at once where too many wait, and after a while where they do not get on;
   * `RATE_LIMITED` where too many are the user's own.
   */
  run<T>(userId: string, work: () => Promise<T>): Promise<T>;
}

/** How long callers are told to wait, in milliseconds. */
const RETRY_MS = 1_000;

function tooMany(cause?: unknown): GroupcastError {
  return new GroupcastError('API_UNAVAILABLE', 'unable to ask the API; too many calls wait for it', {
    retryAfterMs: RETRY_MS,
    cause,
  });
}

export function createCallQueue(limits: CallQueueLimits): CallQueue {
  const queue = createFairQueue({
    total: limits.atOnce,
    perKey: limits.atOncePerUser,
    queuePerKey: limits.waitingPerUser,
  });
  return {
    async run(userId, work) {
      if (queue.working + queue.waiting >= limits.atOnce + limits.waiting) throw tooMany();
      const ticket = queue.join(userId);
      try {
        await within(limits.maxWaitMs, ticket.turn, 'a turn').catch((error: unknown) => {
          throw error instanceof TimedOut ? tooMany(error) : error;
        });
        return await work();
      } finally {
        ticket.leave();
      }
    },
  };
}
