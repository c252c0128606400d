import { GroupcastError } from '@groupcast/shared';

/** One request in the queue: in work, or waiting for its turn. */
export interface Ticket {
  /** Resolves when the request is in work, and never if it has left before. */
  readonly turn: Promise<void>;
  /** Ends the request's work, so that the next may begin, or takes it out of the queue. May be called twice. */
  leave(): void;
}

/**
 * Lets a few requests of each key, and of all keys together, be in work at once. The others wait: first come, first served within
 * a key, and the keys in turn, so that the queue of one key delays nobody else by more than one request.
 */
export interface FairQueue {
  /** Throws `RATE_LIMITED` where the most requests of the key are in work and waiting already. */
  join(key: string): Ticket;
  /** Whether any request of the key is in work or waits. */
  has(key: string): boolean;
  readonly working: number;
  readonly waiting: number;
}

export interface FairQueueLimits {
  /** In work at once, of all keys together. */
  total: number;
  /** In work at once, of one key. */
  perKey: number;
  /** Waiting at once, of one key. */
  queuePerKey: number;
  /** Whether further connections have come in this turn of the event loop: then no request begins yet, for a while. */
  areOthersComing?: () => boolean;
}

/** Longest that waiting requests let connections that come in go first, in milliseconds. */
const MAX_HOLD_MS = 100;

/** How long a client that is refused here is told to wait, in milliseconds. */
const RETRY_MS = 1_000;

interface Line {
  working: number;
  waiting: (() => void)[];
}

export function createFairQueue(limits: FairQueueLimits): FairQueue {
  const lines = new Map<string, Line>();
  /** Keys whose next request may begin, in the order of their turns. */
  const ready = new Set<string>();
  let working = 0;
  let waiting = 0;
  let planned = false;

  function look(key: string, line: Line): void {
    if (line.waiting.length === 0 || line.working >= limits.perKey) ready.delete(key);
    else ready.add(key);
    if (line.waiting.length === 0 && line.working === 0) lines.delete(key);
  }

  function admit(): void {
    planned = false;
    for (const key of ready) {
      if (working >= limits.total) return;
      const line = lines.get(key);
      const start = line?.waiting.shift();
      // A key that has more goes to the end of the order: the loop meets it again after all others.
      ready.delete(key);
      if (!line || !start) continue;
      waiting -= 1;
      working += 1;
      line.working += 1;
      look(key, line);
      start();
    }
  }

  /**
   * Begins in a later turn of the event loop, even where there is room: the embedded database answers in microtasks, so that requests
   * which arrive together would all be served before any other is read, and none of them would ever wait.
   */
  function admitLater(): void {
    if (planned || ready.size === 0) return;
    planned = true;
    const until = performance.now() + MAX_HOLD_MS;
    const admitOrHold = (): void => {
      if (limits.areOthersComing?.() && performance.now() < until) setImmediate(admitOrHold);
      else admit();
    };
    setImmediate(admitOrHold);
  }

  return {
    join(key) {
      const line = lines.get(key) ?? { working: 0, waiting: [] };
      if (line.working + line.waiting.length >= limits.perKey + limits.queuePerKey) {
        throw new GroupcastError('RATE_LIMITED', 'unable to serve the request; too many of yours are waiting already', {
          retryAfterMs: RETRY_MS,
        });
      }
      let state: 'waiting' | 'working' | 'gone' = 'waiting';
      let resolve: () => void = () => undefined;
      const turn = new Promise<void>((done) => {
        resolve = done;
      });
      const start = (): void => {
        state = 'working';
        resolve();
      };
      lines.set(key, line);
      line.waiting.push(start);
      waiting += 1;
      look(key, line);
      if (working < limits.total) admitLater();
      return {
        turn,
        leave() {
          if (state === 'gone') return;
          if (state === 'working') {
            working -= 1;
            line.working -= 1;
          } else {
            line.waiting.splice(line.waiting.indexOf(start), 1);
            waiting -= 1;
          }
          state = 'gone';
          look(key, line);
          admitLater();
        },
      };
    },
    has: (key) => lines.has(key),
    get working() {
      return working;
    },
    get waiting() {
      return waiting;
    },
  };
}
