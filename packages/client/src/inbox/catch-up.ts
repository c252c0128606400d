import type { Position } from '@groupcast/shared';
import { relationOf } from '@groupcast/shared/positions';
import { backoffMs, createWaits } from '../base/backoff.ts';
import type { Clock, Logger } from '../environment.ts';
import { type ClientError, toClientError } from '../errors.ts';
import { type Fruitless, judgeAnswer } from './answer-verdict.ts';
import type { Lag, Page } from './inbox.ts';

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
const REFUSED_MIN_MS = 10_000;
const REFUSED_MAX_MS = 600_000;
/** Most requests to the API at a time, over all groups. */
const API_AT_ONCE = 4;
export type CatchUpSource = 'relay' | 'api';

/** The answer of one source about a group after a position. */
export type Answer =
  | { kind: 'page'; page: Page }
  /** The position means nothing to the source. */
  | { kind: 'reset'; position: Position }
  /** This source cannot answer. */
  | { kind: 'none' };

export interface CatchUpDeps {
  /** How long a gap may close by itself before a source is asked, in milliseconds. */
  holdMs: number;
  lagOf: (groupId: string) => Lag;
  positionOf: (groupId: string) => Position | null;
  /** Asks the relay's log; `none` where it cannot answer. Rejects where it is about to be asked again. */
  askRelay: (groupId: string, after: Position) => Promise<Answer>;
  /** Asks the API, whose answer counts. Rejects with a {@link ClientError}. */
  askApi: (groupId: string, after: Position) => Promise<Answer>;
  onPage: (groupId: string, after: Position, page: Page, source: CatchUpSource) => void;
  onReset: (groupId: string, position: Position) => void;
  /** No source has the missing events. */
  onSettle: (groupId: string) => void;
  /** The API refuses this group for good. */
  onRefused: (groupId: string, error: ClientError) => void;
  /** The number of groups that are being caught up has changed. */
  onBusy: (groups: number) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
}

export interface CatchUp {
  /** Checks whether the group is behind, and if so closes the gap: after a moment, or with `now` at once. */
  check: (groupId: string, when?: 'now') => void;
  /** Asks for events after the group's position although none are known of: the `relay` first, or only the `api`. */
  force: (groupId: string, from: CatchUpSource) => void;
  /** The user is no longer in the group. */
  forget: (groupId: string) => void;
  /** Attempts that wait are made at once. */
  hurry: () => void;
  readonly busy: number;
  stop: () => void;
}

interface Progress extends Fruitless {
  /** There is reason to ask although the group does not seem to be behind. */
  ask: CatchUpSource | undefined;
  failures: number;
}

/**
 * Closes gaps: asks the relay's log first, then the API, again and again until the group has all events that are known of. There is one
 * question at a time per group; groups are caught up in parallel. Failures are retried while the group is behind.
 */
export function createCatchUp(deps: CatchUpDeps): CatchUp {
  const { clock, log } = deps;
  const running = new Map<string, Progress>();
  const holds = new Map<string, unknown>();
  /** Groups that were refused for good; while there is a timer they are not asked for. */
  const refusals = new Map<string, { count: number; timer: unknown }>();
  const waits = createWaits(clock);
  const api = createLimit(API_AT_ONCE);
  let stopped = false;

  function release(groupId: string): void {
    clock.clearTimeout(holds.get(groupId));
    holds.delete(groupId);
  }

  /** Answers whether the source has more. */
  async function step(groupId: string, after: Position, useRelay: boolean): Promise<boolean> {
    const fromRelay: Answer = useRelay ? await deps.askRelay(groupId, after) : { kind: 'none' };
    if (stopped) return false;
    if (fromRelay.kind === 'page') {
      deps.onPage(groupId, after, fromRelay.page, 'relay');
      return fromRelay.page.more;
    }
    const answer = await api<Answer>(async () => (stopped ? { kind: 'none' } : deps.askApi(groupId, after)));
    if (stopped) return false;
    if (answer.kind === 'page') deps.onPage(groupId, after, answer.page, 'api');
    // An answer to a question from an epoch that the group has left says nothing about the group.
    else if (answer.kind === 'reset' && deps.positionOf(groupId)?.epoch === after.epoch) {
      deps.onReset(groupId, answer.position);
    }
    return answer.kind === 'page' && answer.page.more;
  }

  /** Asks one question, and waits after a failure. Answers how to go on. */
  async function attempt(groupId: string, progress: Progress): Promise<'go on' | 'stop'> {
    const lag = deps.lagOf(groupId);
    const after = deps.positionOf(groupId);
    const { ask } = progress;
    if (stopped || !after || (lag === 'none' && !ask)) return 'stop';
    // A request that comes from here on is another question.
    progress.ask = undefined;
    try {
      const useRelay = lag !== 'epoch' && ask !== 'api' && progress.fruitless === 0;
      const more = await step(groupId, after, useRelay);
      progress.failures = 0;
      refusals.delete(groupId);
      if (more) progress.ask ??= 'relay';
    } catch (cause) {
      const error = toClientError(cause);
      if (stopped) return 'stop';
      if (error.retryable) progress.ask ??= ask;
      if (!error.retryable) return refused(groupId, error, ask);
      log.debug('unable to catch up; will try again', { groupId, code: error.code });
      const delay = backoffMs(progress.failures, RETRY_MIN_MS, RETRY_MAX_MS, deps.random);
      progress.failures += 1;
      await waits.wait(delay, error.retryAfterMs);
      return 'go on';
    }
    const now = deps.positionOf(groupId);
    const moved = !now || relationOf(after, now) !== 'behind';
    const { next, ...counts } = judgeAnswer(progress, { moved, promisesMore: progress.ask === 'relay' });
    Object.assign(progress, counts);
    if (next === 'give up') {
      log.warn('no source has the events that were announced; going on without them', { groupId, ...after });
      deps.onSettle(groupId);
      return 'stop';
    }
    if (next === 'wait' && deps.lagOf(groupId) !== 'none') {
      await waits.wait(backoffMs(progress.fruitless, RETRY_MIN_MS / 4, RETRY_MAX_MS, deps.random));
    }
    return 'go on';
  }

  /** After a refusal for good the group is asked for again at growing intervals, or never if the user turns out not to be in it. */
  function refused(groupId: string, error: ClientError, ask: CatchUpSource | undefined): 'stop' {
    const count = (refusals.get(groupId)?.count ?? 0) + 1;
    const delayMs = backoffMs(count - 1, REFUSED_MIN_MS, REFUSED_MAX_MS, deps.random);
    const timer = clock.setTimeout(() => {
      refusals.set(groupId, { count, timer: undefined });
      if (ask || isBehind(groupId)) start(groupId, ask);
    }, delayMs);
    refusals.set(groupId, { count, timer });
    deps.onRefused(groupId, error);
    return 'stop';
  }

  async function run(groupId: string, ask: CatchUpSource | undefined): Promise<void> {
    const progress: Progress = { ask, failures: 0, fruitless: 0, promised: 0 };
    running.set(groupId, progress);
    deps.onBusy(running.size);
    try {
      while ((await attempt(groupId, progress)) === 'go on');
    } finally {
      running.delete(groupId);
      if (!stopped) deps.onBusy(running.size);
    }
    // The relay may have said something between the last check and the end.
    if (progress.ask || isBehind(groupId)) start(groupId, progress.ask);
  }

  function isBehind(groupId: string): boolean {
    const lag = deps.lagOf(groupId);
    return lag === 'gap' || lag === 'epoch';
  }

  function start(groupId: string, ask?: CatchUpSource): void {
    release(groupId);
    const progress = running.get(groupId);
    if (progress) progress.ask ??= ask;
    if (stopped || progress || refusals.get(groupId)?.timer !== undefined) return;
    run(groupId, ask).catch((error: unknown) => log.error('catch-up failed', { groupId, error }));
  }

  return {
    check(groupId, when) {
      const lag = deps.lagOf(groupId);
      if (lag === 'none' || lag === 'unopened') release(groupId);
      else if (lag === 'epoch' || when === 'now') start(groupId);
      else if (!stopped && !running.has(groupId) && !holds.has(groupId)) {
        holds.set(
          groupId,
          clock.setTimeout(() => {
            holds.delete(groupId);
            if (deps.lagOf(groupId) !== 'none') start(groupId);
          }, deps.holdMs),
        );
      }
    },
    force: start,
    forget(groupId) {
      release(groupId);
      clock.clearTimeout(refusals.get(groupId)?.timer);
      refusals.delete(groupId);
    },
    hurry: waits.skip,
    get busy() {
      return running.size;
    },
    stop() {
      stopped = true;
      for (const groupId of holds.keys()) release(groupId);
      for (const { timer } of refusals.values()) clock.clearTimeout(timer);
      waits.stop();
    },
  };
}

/** Runs at most `limit` of the tasks passed to it at a time, in the order in which they came. */
function createLimit(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = [];
  let active = 0;
  return async (work) => {
    if (active >= limit) await new Promise<void>((resolve) => queue.push(resolve));
    else active += 1;
    try {
      return await work();
    } finally {
      // The next task takes this one's slot, which is never free in between.
      const next = queue.shift();
      if (next) next();
      else active -= 1;
    }
  };
}
