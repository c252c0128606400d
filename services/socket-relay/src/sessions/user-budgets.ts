import { GroupcastError } from '@groupcast/shared';
import { TokenBucket } from './rate-limit.ts';

/**
 * Units of work per event that a connection may send. A unit is about a tenth of a millisecond of this process: reading a small packet,
 * entering a few groups, sending a few events.
 */
const WORK_FACTOR = 8;
/** Packets of one user over all connections, refused ones included, as a multiple of the packets that one connection may have answered. */
const PACKET_FACTOR = 8;
/** Seconds whose packets may come at once. */
const PACKET_BURST_SECONDS = 5;
/**
 * Numbers that take about as long as one unit: groups to be decided about or entered, events to be sent, people to be named, reads to be told
 * to the user's other connections, on all relays.
 */
export const GROUPS_PER_UNIT = 20;
export const EVENTS_PER_UNIT = 25;
export const PEOPLE_PER_UNIT = 50;
export const READS_PER_UNIT = 2;
/** UTF-16 code units of a packet that cost as much as a packet. */
export const LENGTH_PER_UNIT = 4_096;
/** How often users that are not connected any more are forgotten, in milliseconds, once nothing is held against them. */
const SWEEP_INTERVAL_MS = 5_000;

/**
 * Limits the cost of one user to this relay, however many connections the user has: a limit per connection alone is a limit per 1,000
 * connections. It outlives the connections, so that coming back is no new beginning.
 */
export interface UserBudget {
  /** Counts a packet before it is decoded, a large one as several. Returns false if the user floods the relay. */
  takePacket(length: number): boolean;
  /** Takes units for work that is about to be done. Throws `RATE_LIMITED` if they are not there. */
  takeWork(units: number): void;
  /** Takes units for work that was done. */
  chargeWork(units: number): void;
  /** Takes units for later work, and returns after how many milliseconds they are there; `undefined` if that is later than `withinMs`. */
  reserveWork(units: number, withinMs: number): number | undefined;
}

export interface UserBudgets {
  of(userId: string): UserBudget;
  stop(): void;
}

/** `eventsPerSecond`: events that one connection may send. */
export function createUserBudgets(eventsPerSecond: number, now?: () => number): UserBudgets {
  interface Entry extends UserBudget {
    isIdle(): boolean;
  }
  const budgets = new Map<string, Entry>();

  function open(): Entry {
    const workPerSecond = WORK_FACTOR * eventsPerSecond;
    const packetsPerSecond = PACKET_FACTOR * eventsPerSecond;
    const work = new TokenBucket(workPerSecond, workPerSecond * 2, now);
    const packets = new TokenBucket(packetsPerSecond, packetsPerSecond * PACKET_BURST_SECONDS, now);
    return {
      takePacket(length) {
        work.charge(length / LENGTH_PER_UNIT);
        return packets.take(1 + length / LENGTH_PER_UNIT);
      },
      takeWork(units) {
        if (work.take(Math.min(units, workPerSecond * 2))) return;
        throw new GroupcastError('RATE_LIMITED', 'unable to do so much at once for one user; try again later', {
          retryAfterMs: work.msUntil(units),
        });
      },
      chargeWork: (units) => work.charge(units),
      reserveWork: (units, withinMs) => work.reserve(Math.min(units, workPerSecond * 2), withinMs),
      isIdle: () => work.isFull() && packets.isFull(),
    };
  }

  const timer = setInterval(() => {
    for (const [userId, budget] of budgets) if (budget.isIdle()) budgets.delete(userId);
  }, SWEEP_INTERVAL_MS);
  timer.unref();

  return {
    of(userId) {
      const known = budgets.get(userId);
      if (known) return known;
      const budget = open();
      budgets.set(userId, budget);
      return budget;
    },
    stop() {
      clearInterval(timer);
      budgets.clear();
    },
  };
}
