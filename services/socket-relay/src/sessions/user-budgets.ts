import { GroupcastError } from '@groupcast/shared';
import { TokenBucket } from './rate-limit.ts';

/** A unit of work is about a tenth of a millisecond of this process: reading a small packet, entering a few groups, sending a few events. */
const WORK_FACTOR = 8;
/** Packets of one user, refused ones included, over all connections: several times what one connection may have answered. */
const PACKET_FACTOR = 8;
/** How many seconds' worth of packets may come at once. */
const PACKET_BURST_SECONDS = 5;
/** What takes about as long as a unit: groups to be decided about or entered, events to be sent, people to be named. */
export const GROUPS_PER_UNIT = 20;
export const EVENTS_PER_UNIT = 25;
export const PEOPLE_PER_UNIT = 50;
/** UTF-16 code units of a packet that cost as much as a packet. */
const LENGTH_PER_UNIT = 4_096;
/** Users that are not connected any more are forgotten once nothing is held against them. */
const SWEEP_INTERVAL_MS = 5_000;

/**
 * What one user may cost this relay, however many connections they have: a limit per connection alone is a limit per 1,000 of it.
 * It outlives the connections, so that coming back is no new beginning.
 */
export interface UserBudget {
  /** Counts a packet before it is decoded, a large one as several. False: the user floods the relay. */
  takePacket(length: number): boolean;
  /** Takes units for work that is about to be done. Throws `RATE_LIMITED` when they are not there. */
  takeWork(units: number): void;
  /** Takes units for work that was done. */
  chargeWork(units: number): void;
  /** Takes units that are there in so many milliseconds; `undefined` where that is later than `withinMs`. */
  reserveWork(units: number, withinMs: number): number | undefined;
}

export interface UserBudgets {
  of(userId: string): UserBudget;
  stop(): void;
}

/** `eventsPerSecond`: what one connection may send. */
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
