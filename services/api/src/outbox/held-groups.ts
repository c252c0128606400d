import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { describeFailure } from '../db/database-errors.ts';
import type { Lease, OutboxStore, Settled } from './outbox-store.ts';

/** A group that this process has claimed. */
export interface HeldGroup {
  readonly lease: Lease;
  /** Until then (of `performance.now()`) nobody else can have claimed it, with time to spare. */
  goodUntil: number;
  /** The cursor that is in the database. */
  writtenSeq: number;
  /** Since when nothing was left to send; undefined while the group is being worked on. */
  quietSince: number | undefined;
  /** A settlement that is under way, one at most: it may give the group back. */
  settling: Promise<void> | undefined;
  isLost: boolean;
}

/**
 * The groups that this process has claimed. A group is kept for as long as something happens in it, so that its row is written about once
 * a second however many events it has: a row that is written more often has as many dead versions, which nobody can remove while any snapshot of the
 * database is held. After a crash, events of the last second may be sent once more; the relay recognises them by position.
 */
export interface HeldGroups {
  /** The group, if it is held, to be worked on: it is not given back before `rest`. */
  take(groupId: string): Promise<HeldGroup | undefined>;
  has(groupId: string): boolean;
  /** The group's last event that the relay has accepted, where it is held. */
  sentSeq(groupId: string): number | undefined;
  /** `askedAt`: when the lease was asked for, by `performance.now()`. It may have begun then, however late the answer is. */
  add(lease: Lease, askedAt: number): HeldGroup;
  /** Nothing is left to send for now. */
  rest(held: HeldGroup): void;
  /** Writes the cursor now. False when the lease is lost. */
  write(held: HeldGroup): Promise<boolean>;
  renew(held: HeldGroup): Promise<boolean>;
  /** Asks the database whether others have saved something in groups that are quiet here, and calls `onMore` for these. */
  look(): Promise<void>;
  /** Forgets the group; its lease is given back already, or runs out. */
  drop(held: HeldGroup): void;
  /** Gives groups back now in which nothing is left: this process has no relay to send to. */
  releaseQuiet(): void;
  start(): void;
  /** Writes all cursors, and gives all groups back. */
  stop(): Promise<void>;
}

/** Groups of one statement: it holds the lock of each that it gives back. */
const SETTLED_AT_ONCE = 100;
/** Most groups of one look. */
const MAX_LOOKED_AT = 1_000;
/** Most groups that are kept while they are quiet. */
const MAX_HELD = 10_000;

export function createHeldGroups(
  deps: {
    store: OutboxStore;
    log: Logger;
    /** Without a relay, groups are better off with another process. */
    isConnected: () => boolean;
    /** A group that is quiet here has events that this process did not know of. */
    onMore: (groupId: string) => void;
    /** The group is not held any more. */
    onForgotten: (groupId: string) => void;
  },
  options: { leaseMs: number; writeMs: number },
): HeldGroups {
  const { store, log } = deps;
  const { leaseMs, writeMs } = options;
  const warn = warnOnceEvery(60_000);
  const groups = new Map<string, HeldGroup>();
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<void> | undefined;

  function forget(held: HeldGroup): void {
    held.isLost = true;
    const { groupId } = held.lease;
    if (groups.get(groupId) !== held) return;
    groups.delete(groupId);
    deps.onForgotten(groupId);
  }

  async function giveBack(held: HeldGroup): Promise<void> {
    forget(held);
    await store.postpone(held.lease, 0);
  }

  /** True where the group is to be given back, because this process cannot send what is left. */
  function apply(held: HeldGroup, state: Settled, seq: number, askedAt: number): boolean {
    if (state === 'lost' || state === 'released') {
      forget(held);
      return false;
    }
    held.writtenSeq = seq;
    held.goodUntil = askedAt + leaseMs / 2;
    if (state !== 'more') return false;
    if (!deps.isConnected()) return true;
    deps.onMore(held.lease.groupId);
    return false;
  }

  /** None of the groups is being settled already. */
  async function settle(chunk: readonly HeldGroup[], quietBefore: number): Promise<void> {
    const askedAt = performance.now();
    // The lease may move on while the question is open.
    const asked = chunk.map((held) => ({
      lease: { ...held.lease },
      closes: held.quietSince !== undefined && held.quietSince <= quietBefore,
    }));
    const work = store.settle(asked).then(async (states) => {
      const isToGo = (held: HeldGroup, index: number): boolean =>
        apply(held, states[index] ?? 'lost', asked[index]?.lease.dispatchedSeq ?? 0, askedAt);
      // Hardly any of them is given back.
      for (const held of chunk.filter(isToGo)) await giveBack(held);
    });
    const settled = work.catch(() => undefined);
    for (const held of chunk) held.settling = settled;
    try {
      await work;
    } finally {
      for (const held of chunk) if (held.settling === settled) held.settling = undefined;
    }
  }

  function needsSettling(held: HeldGroup, now: number, quietBefore: number): boolean {
    const { lease, writtenSeq, quietSince, goodUntil } = held;
    const isOld = now > goodUntil - leaseMs / 4;
    return isOld || lease.dispatchedSeq !== writtenSeq || (quietSince !== undefined && quietSince <= quietBefore);
  }

  const isFree = (held: HeldGroup): boolean => held.settling === undefined && !held.isLost;

  async function sweep(quietMs: number): Promise<void> {
    const now = performance.now();
    const quietBefore = now - quietMs;
    const due = [...groups.values()].filter((held) => needsSettling(held, now, quietBefore));
    for (let from = 0; from < due.length; from += SETTLED_AT_ONCE) {
      const chunk = due.slice(from, from + SETTLED_AT_ONCE).filter(isFree);
      if (chunk.length === 0) continue;
      try {
        // One statement goes after the other: they are the least urgent ones.
        await settle(chunk, quietBefore);
      } catch (error) {
        // A lease that cannot be renewed runs out by itself; what is being worked on finds that out.
        for (const held of due) if (held.quietSince !== undefined && now > held.goodUntil + leaseMs) forget(held);
        warn('settle', (suppressed) =>
          log.warn({ ...describeFailure(error), suppressed }, 'unable to write the cursors of groups; trying again'),
        );
        return;
      }
    }
  }

  async function sweepOnce(quietMs: number): Promise<void> {
    sweeping ??= sweep(quietMs).finally(() => {
      sweeping = undefined;
    });
    return sweeping;
  }

  return {
    async take(groupId) {
      for (let held = groups.get(groupId); held; held = groups.get(groupId)) {
        if (!held.settling) {
          held.quietSince = undefined;
          return held;
        }
        // It waits until it is not being given back any more.
        await held.settling;
      }
      return undefined;
    },
    has: (groupId) => groups.has(groupId),
    sentSeq: (groupId) => groups.get(groupId)?.lease.dispatchedSeq,
    add(lease, askedAt) {
      const held: HeldGroup = {
        lease,
        goodUntil: askedAt + leaseMs / 2,
        writtenSeq: lease.dispatchedSeq,
        quietSince: undefined,
        settling: undefined,
        isLost: false,
      };
      groups.set(lease.groupId, held);
      return held;
    },
    rest(held) {
      held.quietSince = performance.now();
      if (groups.size > MAX_HELD) void sweepOnce(0);
    },
    async write(held) {
      // Of two that are open at once, the earlier cursor could be written last.
      // It waits until it is not being settled any more.
      while (held.settling) await held.settling;
      if (!held.isLost) await settle([held], Number.NEGATIVE_INFINITY);
      return !held.isLost;
    },
    async renew(held) {
      const askedAt = performance.now();
      if (await store.renew(held.lease)) held.goodUntil = askedAt + leaseMs / 2;
      else forget(held);
      return !held.isLost;
    },
    async look() {
      const quiet = [...groups.values()].filter(({ quietSince }) => quietSince !== undefined).map(({ lease }) => lease);
      if (quiet.length === 0 || !deps.isConnected()) return;
      for (const groupId of await store.findBehind(quiet.slice(0, MAX_LOOKED_AT))) deps.onMore(groupId);
    },
    drop: forget,
    releaseQuiet() {
      void sweepOnce(0);
    },
    start() {
      timer = setInterval(() => void sweepOnce(deps.isConnected() ? writeMs : 0), writeMs);
    },
    async stop() {
      clearInterval(timer);
      await sweeping;
      await sweep(0);
      // Groups that are left have events that nobody sends here any more.
      await Promise.all([...groups.values()].map(async (held) => giveBack(held).catch(() => undefined)));
    },
  };
}
