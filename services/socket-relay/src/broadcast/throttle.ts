import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';

/**
 * Longest a broadcast may wait, in milliseconds. It is below the time that publishers wait for their acknowledgement: a broadcaster 10 s,
 * the API's dispatcher 2.5 s.
 */
const MAX_WAIT_MS = 1_500;
/** Most broadcasts that may wait, and their bytes: as many as one broadcaster has pending at most, and less memory than would hurt. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** Most broadcasts of one turn of the event loop: their effect shows in the lag after it. A full batch fits in one turn. */
const TURN = 1_000;
/** Broadcasts that are let in, while some wait, before the lag is looked at again a turn later. */
const STEP = 64;
/** Most refusals of one turn: thousands that are late together would hold up everything else. */
const REFUSALS = 256;
/**
 * Shortest time after which a refused publisher comes back, in milliseconds. Broadcasts that are refused together come back spread over
 * `MAX_WAIT_MS`.
 */
const RETRY_MIN_MS = 50;

/** One command of a publisher. The items of a batch share one, so that they keep the batch's turn. */
export interface Arrival {
  /** When it came, in milliseconds of the monotonic clock. */
  readonly at: number;
  /** Whether a part of it was let in. */
  isIn: boolean;
}

/**
 * Slows publishers down to the speed at which members can be sent to: while the fan-out lags, broadcasts wait before they have a position
 * in the log, so a publisher that waits for acknowledgements publishes no faster than the relay writes.
 */
export interface Throttle {
  arrive: () => Arrival;
  /**
   * Returns `undefined`, and no promise, if a broadcast may go on at once: the fan-out keeps up, and nothing waits. Otherwise it resolves
   * when it is the broadcast's turn, in the order of the arrivals. It throws or rejects with `RATE_LIMITED`, and then nothing has happened:
   * the same broadcast again is welcome.
   */
  admit(arrival: Arrival, bytes: number): Promise<void> | undefined;
  /** Refuses every broadcast that still waits with `SERVER_DRAINING`. */
  stop(): void;
}

interface Waiting {
  arrival: Arrival;
  bytes: number;
  letIn: () => void;
  refuse: (error: GroupcastError) => void;
}

export function createThrottle(deps: {
  /** Returns how far the fan-out is behind, in milliseconds; see `Sender.lagMs`. */
  lagMs: () => number;
  maxLagMs: number;
  metrics: Pick<RelayMetrics, 'watchThrottle' | 'broadcastsDelayed' | 'broadcastsHeldOff'>;
  log: Logger;
  now?: () => number;
}): Throttle {
  const { lagMs, maxLagMs, metrics, now = () => performance.now() } = deps;
  const warn = warnOnceEvery(60_000);
  /** Waiting broadcasts in the order of their arrivals: the one that has waited longest is first. */
  const queue: Waiting[] = [];
  let waitingBytes = 0;
  /** How many more may go on before the next look. */
  let credit = TURN;
  let looking: NodeJS.Immediate | undefined;

  metrics.watchThrottle({ waiting: () => queue.length, lagMs });
  for (const reason of ['full', 'waited']) metrics.broadcastsHeldOff.inc({ reason }, 0);

  function heldOff(reason: 'full' | 'waited'): GroupcastError {
    metrics.broadcastsHeldOff.inc({ reason });
    warn(reason, (suppressed) => {
      deps.log.warn(
        { reason, lagMs: Math.round(lagMs()), waiting: queue.length, suppressed },
        'broadcasts are refused: members are behind',
      );
    });
    const why = reason === 'full' ? 'too many wait already' : `it has waited ${MAX_WAIT_MS} ms`;
    return new GroupcastError('RATE_LIMITED', `unable to broadcast; members are behind, and ${why}`, {
      retryAfterMs: RETRY_MIN_MS + Math.floor(Math.random() * MAX_WAIT_MS),
    });
  }

  function enqueue(waiting: Waiting): void {
    let from = 0;
    // Mostly it is the last to come. Exceptions are broadcasts that waited for their connection's batch, and the next item of a batch.
    for (let to = queue.length; from < to; ) {
      const middle = to === queue.length ? to - 1 : (from + to) >> 1;
      if ((queue[middle]?.arrival.at ?? 0) <= waiting.arrival.at) from = middle + 1;
      else to = middle;
    }
    queue.splice(from, 0, waiting);
    waitingBytes += waiting.bytes;
    lookSoon();
  }

  function take(): Waiting | undefined {
    const first = queue.shift();
    waitingBytes -= first?.bytes ?? 0;
    return first;
  }

  /** Runs once in each turn that has a broadcast, or one that waits. The fan-out writes in each turn while it is behind, so this wakes nobody. */
  function look(): void {
    looking = undefined;
    const lateBefore = now() - MAX_WAIT_MS;
    for (let count = 0; count < REFUSALS && queue[0] && queue[0].arrival.at < lateBefore; count += 1) {
      take()?.refuse(heldOff('waited'));
    }
    credit = TURN;
    if (queue.length === 0) return;
    credit = lagMs() > maxLagMs ? 0 : STEP;
    for (let isLast = false; !isLast && credit > 0 && queue[0]; credit -= 1) {
      const { arrival } = queue[0];
      const isBatch = arrival.isIn;
      take()?.letIn();
      // The next items of a batch come in the microtasks after these, and before all others.
      isLast = isBatch && queue[0]?.arrival !== arrival;
    }
    lookSoon();
  }

  function lookSoon(): void {
    looking ??= setImmediate(look);
  }

  function mayGoOn({ at, isIn }: Arrival): boolean {
    if (credit === 0 || lagMs() > maxLagMs) return false;
    const [first] = queue;
    if (first && (!isIn || first.arrival.at < at)) return false;
    credit -= 1;
    lookSoon();
    return true;
  }

  return {
    arrive: () => ({ at: now(), isIn: false }),
    admit(arrival, bytes) {
      if (mayGoOn(arrival)) {
        arrival.isIn = true;
        return undefined;
      }
      if (queue.length >= MAX_WAITING || waitingBytes + bytes > MAX_WAITING_BYTES) throw heldOff('full');
      metrics.broadcastsDelayed.inc();
      return new Promise<void>((resolve, refuse) => {
        const letIn = (): void => {
          arrival.isIn = true;
          resolve();
        };
        enqueue({ arrival, bytes, letIn, refuse });
      });
    },
    stop() {
      clearImmediate(looking);
      looking = undefined;
      const error = new GroupcastError('SERVER_DRAINING', 'unable to broadcast; the relay is stopping');
      for (let waiting = take(); waiting; waiting = take()) waiting.refuse(error);
    },
  };
}
