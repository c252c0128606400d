import type { Clock, Logger } from '../environment.ts';
import { toClientError } from '../errors.ts';

interface Cursors {
  received?: number;
  applied?: number;
  read?: number;
}

export interface CursorsDeps {
  /** `undefined` while there is no connection. Rejects with a `ClientError`. */
  report: (cursors: Record<string, Cursors>) => Promise<unknown> | undefined;
  /** Tells the API what was read, where the relay cannot be told. */
  markRead: (groupId: string, seq: number) => Promise<unknown>;
  intervalMs: number;
  /** The epoch of a group of which everything has come; `undefined` where something is missing. */
  epochOf: (groupId: string) => string | undefined;
  clock: Clock;
  random: () => number;
  log: Logger;
}

const KEYS = ['received', 'applied', 'read'] as const;
/** Most groups in one report; the relay takes no more. */
const GROUPS_PER_REPORT = 1_000;

/** Longest time that a relay is taken to need until the API has what it took, in milliseconds. */
const ON_ITS_WAY_MS = 5_000;

/** Tells the relay, in batches, how far this client has got in each group. */
export interface CursorReport {
  /** Everything up to `seq` has arrived, such as in a list. */
  received: (groupId: string, seq: number) => void;
  /** Every event up to `seq` has arrived and is shown. */
  applied: (groupId: string, seq: number) => void;
  /** A person has seen everything up to `seq`. */
  read: (groupId: string, seq: number) => void;
  /** The API has not heard that everything up to `seq` was read. */
  unheard: (groupId: string, seq: number) => void;
  /** The connection is gone, and had been silent for this time. */
  down: (silentMs: number) => void;
  /** There is another connection, whose relay may take reports that the last one did not, or lost. */
  reconnected: () => void;
  /** Forgets what was told of the group, and what is to be told; with `before` only what lies below it. */
  forget: (groupId: string, before?: number) => void;
  stop: () => void;
}

/**
 * Sends at most one report per interval; a read cursor is sent at once if the last interval had no report. Where the relay does not
 * take reports, read cursors go to the API, and the others are not sent. A lost report is made good by the next one, because cursors
 * only rise. A relay that dies loses what it took and has not handed on yet: that is told to the next one.
 */
export function createCursorReport(deps: CursorsDeps): CursorReport {
  const { clock, log } = deps;
  const told = new Map<string, Cursors>();
  /** When a relay took the last report about a group, and in which epoch; reports that were its last ones may not have got to the API. */
  const taken = new Map<string, { at: number; epoch: string | undefined }>();
  /** The epochs of groups of which the last relay may have lost a report, until they are caught up. */
  const unsure = new Map<string, string | undefined>();
  let isDown = false;
  let again: unknown;
  let waiting = new Map<string, Cursors>();
  let timer: unknown;
  let dueAt = Number.POSITIVE_INFINITY;
  let lastAt = Number.NEGATIVE_INFINITY;
  let supported = true;
  let stopped = false;

  function note(groupId: string, cursors: Cursors, delayMs: number): void {
    const known = { ...told.get(groupId), ...waiting.get(groupId) };
    const risen = KEYS.filter((key) => (cursors[key] ?? 0) > (known[key] ?? 0));
    if (risen.length === 0) return;
    const next: Cursors = { ...waiting.get(groupId) };
    for (const key of risen) next[key] = cursors[key] ?? 0;
    waiting.set(groupId, next);
    plan(delayMs);
  }

  function plan(delayMs: number): void {
    if (stopped) return;
    const at = Math.max(clock.now() + delayMs, lastAt + deps.intervalMs);
    if (at >= dueAt) return;
    clock.clearTimeout(timer);
    dueAt = at;
    timer = clock.setTimeout(() => {
      dueAt = Number.POSITIVE_INFINITY;
      void flush();
    }, at - clock.now());
  }

  function accepted(batch: ReadonlyMap<string, Cursors>): void {
    settled(clock.now() - ON_ITS_WAY_MS);
    for (const groupId of batch.keys()) taken.set(groupId, { at: clock.now(), epoch: deps.epochOf(groupId) });
  }

  /** The API has everything that was taken before this time. */
  function settled(before: number): void {
    for (const [groupId, { at }] of taken) if (at < before) taken.delete(groupId);
  }

  /**
   * Tells again what the last relay may have lost, group by group as they are caught up: until then nobody knows whether the group was started
   * over, or the user was removed from it.
   */
  function tellAgain(): void {
    for (const [groupId, epoch] of unsure) {
      const now = deps.epochOf(groupId);
      if (now === undefined) continue;
      unsure.delete(groupId);
      if (epoch !== undefined && now !== epoch) continue;
      const cursors = told.get(groupId) ?? {};
      told.delete(groupId);
      note(groupId, cursors, 0);
    }
    if (unsure.size > 0 && !stopped && !isDown) tellAgainSoon();
  }

  function tellAgainSoon(): void {
    clock.clearTimeout(again);
    again = clock.setTimeout(tellAgain, deps.intervalMs * (1 + deps.random()));
  }

  async function flush(): Promise<void> {
    if (waiting.size === 0) return;
    const all = Array.from(waiting);
    const batch = new Map(all.slice(0, GROUPS_PER_REPORT));
    waiting = new Map(all.slice(GROUPS_PER_REPORT));
    lastAt = clock.now();
    if (waiting.size > 0) plan(deps.intervalMs);
    for (const [groupId, cursors] of batch) told.set(groupId, { ...told.get(groupId), ...cursors });
    const asked = supported ? deps.report(Object.fromEntries(batch)) : undefined;
    if (!asked) {
      if (supported) keepForLater(batch);
      return readByApi(batch);
    }
    try {
      await asked;
      accepted(batch);
    } catch (cause) {
      const error = toClientError(cause);
      log.debug('unable to report cursors', { code: error.code });
      if (stopped) return;
      if (error.code === 'UNKNOWN_EVENT') supported = false;
      if (error.retryable) takeBack(batch);
      else if (supported && batch.size > 1) await reportEach(batch);
      else await readByApi(batch);
    }
  }

  /** Reports each group by itself: one group is at fault, and the others should not fail with it. */
  async function reportEach(batch: ReadonlyMap<string, Cursors>): Promise<void> {
    for (const entry of batch) {
      try {
        if (!stopped) await deps.report(Object.fromEntries([entry]));
        accepted(new Map([entry]));
      } catch (cause) {
        if (toClientError(cause).retryable) takeBack(new Map([entry]));
      }
    }
  }

  /** Keeps all but the read cursors for the next connection. */
  function keepForLater(batch: ReadonlyMap<string, Cursors>): void {
    for (const [groupId, { read: _, ...cursors }] of batch) {
      const known = told.get(groupId) ?? {};
      delete known.received;
      delete known.applied;
      if (Object.keys(cursors).length > 0) waiting.set(groupId, cursors);
    }
  }

  async function readByApi(batch: ReadonlyMap<string, Cursors>): Promise<void> {
    for (const [groupId, { read }] of batch) {
      if (read === undefined || stopped) continue;
      try {
        await deps.markRead(groupId, read);
      } catch (cause) {
        const error = toClientError(cause);
        log.debug('unable to report what was read', { groupId, code: error.code });
        if (error.retryable) takeBack(new Map([[groupId, { read }]]));
      }
    }
  }

  /** Puts cursors back that could not be reported, and reports them later. Those that were forgotten meanwhile are not. */
  function takeBack(batch: ReadonlyMap<string, Cursors>): void {
    for (const [groupId, cursors] of batch) {
      const known = told.get(groupId) ?? {};
      const still: Cursors = {};
      for (const key of KEYS) {
        if (cursors[key] === undefined || cursors[key] !== known[key]) continue;
        still[key] = cursors[key];
        delete known[key];
      }
      note(groupId, still, 5 * deps.intervalMs);
    }
  }

  return {
    // Reports are spread over the interval; otherwise all members of a group would answer one message in the same moment.
    received: (groupId, seq) => note(groupId, { received: seq }, deps.intervalMs * (0.5 + deps.random() / 2)),
    applied: (groupId, seq) =>
      note(groupId, { received: seq, applied: seq }, deps.intervalMs * (0.5 + deps.random() / 2)),
    read: (groupId, seq) => note(groupId, { read: seq }, 0),
    unheard(groupId, seq) {
      if (!isDown) settled(clock.now() - ON_ITS_WAY_MS);
      if (taken.has(groupId) || unsure.has(groupId)) return;
      delete told.get(groupId)?.read;
      note(groupId, { read: seq }, deps.intervalMs * deps.random());
    },
    down(silentMs) {
      if (!isDown) settled(clock.now() - silentMs - ON_ITS_WAY_MS);
      isDown = true;
    },
    reconnected() {
      supported = true;
      isDown = false;
      for (const [groupId, { epoch }] of taken) unsure.set(groupId, epoch);
      taken.clear();
      if (unsure.size > 0) tellAgainSoon();
      if (waiting.size > 0) plan(deps.intervalMs * deps.random());
    },
    forget(groupId, before = Number.POSITIVE_INFINITY) {
      for (const all of [told, waiting]) {
        const { ...kept } = all.get(groupId) ?? {};
        for (const key of KEYS) if ((kept[key] ?? 0) < before) delete kept[key];
        if (Object.keys(kept).length > 0) all.set(groupId, kept);
        else all.delete(groupId);
      }
      // Of a group that is not followed any more nothing is ever caught up.
      if (told.has(groupId)) return;
      taken.delete(groupId);
      unsure.delete(groupId);
    },
    stop() {
      stopped = true;
      clock.clearTimeout(timer);
      clock.clearTimeout(again);
    },
  };
}
