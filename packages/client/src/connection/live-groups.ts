import type { Position } from '@groupcast/shared';
import { backoffMs, createWaits } from '../base/backoff.ts';
import type { Delivery } from '../delivery.ts';
import type { Clock, Logger } from '../environment.ts';
import { toClientError } from '../errors.ts';
import type { Answer, CatchUp } from '../inbox/catch-up.ts';
import type { ConnectionStatus } from './connection-status.ts';
import type { GroupAnswer } from './relay-payloads.ts';
import type { RelayQuestions } from './relay-questions.ts';

/** Delay before groups that the relay refused are asked for again, in milliseconds. */
const REJOIN_MS = 30_000;
/** The same for the first time where the relay could ask nobody about them, which may be over in a moment. It doubles up to the other. */
const UNDECIDED_MS = 2_000;
/** Interval at which the list is read for groups that are not live because there are too many, in milliseconds. */
const LIST_INTERVAL_MS = 60_000;
/** Delay where the relay asks to slow down without a number, in milliseconds. */
const RATE_LIMIT_MS = 1_000;

export interface LiveGroupsDeps {
  delivery: Pick<Delivery, 'positions' | 'page'>;
  status: Pick<ConnectionStatus, 'link'>;
  questions: RelayQuestions;
  catchUp: Pick<CatchUp, 'check' | 'force'>;
  /** The relay has said which groups the connection is in, and delivers. */
  mayJoin: () => boolean;
  /** Where the relay says that a group stands, without its events. */
  onHead: (groupId: string, position: Position | undefined) => void;
  /** Which groups there are has to be read from the API. */
  onUnclear: () => void;
  clock: Clock;
  random: () => number;
  log: Logger;
}

/** The groups whose events this connection gets by itself, and how it gets into the others. */
export interface LiveGroups {
  add: (groupId: string) => void;
  /** The connection is in the group no more, or not yet. */
  remove: (groupId: string) => void;
  /** The relay does not let the connection into the group, and may do so later. */
  refuse: (groupId: string, code: unknown) => void;
  /** Takes the relay's answer about a group that was asked for from `after`. */
  take: (groupId: string, after: Position | undefined, answer: GroupAnswer) => Answer;
  /** A group was left, so that there is room for another one where there were too many. */
  makeRoom: () => void;
  /** Asks to be let into the groups that this connection does not get live. */
  join: () => void;
  /** The same, those included that the relay refused. */
  retry: () => void;
  /** The connection is gone. */
  reset: () => void;
  stop: () => void;
}

export function createLiveGroups(deps: LiveGroupsDeps): LiveGroups {
  const { delivery, status, questions, catchUp, clock, log } = deps;
  const live = new Set<string>();
  /** Groups that the relay did not let this connection into; they are asked for again in a while. */
  const refused = new Set<string>();
  /** The connection is in as many groups as the relay allows. */
  let full = false;
  let joining = false;
  let rejoinTimer: unknown;
  let rejoinAt = Number.POSITIVE_INFINITY;
  /** How often in a row groups were refused because nobody could be asked. */
  let undecided = 0;
  let listTimer: unknown;
  const waits = createWaits(clock);

  function rejoinLater(code: unknown): void {
    const delay = code === 'API_UNAVAILABLE' ? backoffMs(undecided, UNDECIDED_MS, REJOIN_MS, deps.random) : REJOIN_MS;
    if (clock.now() + delay >= rejoinAt) return;
    cancelRejoin();
    rejoinAt = clock.now() + delay;
    rejoinTimer = clock.setTimeout(() => {
      cancelRejoin();
      undecided += 1;
      retry();
    }, delay);
  }

  function cancelRejoin(): void {
    clock.clearTimeout(rejoinTimer);
    rejoinAt = Number.POSITIVE_INFINITY;
  }

  /** Reads the list at an interval: it says where groups stand that are not live. */
  function listLater(): void {
    listTimer ??= clock.setTimeout(() => {
      listTimer = undefined;
      if (!full) return;
      deps.onUnclear();
      listLater();
    }, LIST_INTERVAL_MS);
  }

  function refuse(groupId: string, code: unknown): void {
    refused.add(groupId);
    if (code === 'NOT_A_MEMBER') deps.onUnclear();
    if (code !== 'GROUP_LIMIT') return rejoinLater(code);
    listLater();
    if (full) return;
    log.warn(
      'this connection is in as many groups as the relay allows; the others are read from the API, once a minute',
      { groupId },
    );
    full = true;
  }

  function take(groupId: string, after: Position | undefined, answer: GroupAnswer): Answer {
    if (answer.kind === 'refused') {
      live.delete(groupId);
      refuse(groupId, answer.code);
      return { kind: 'none' };
    }
    if (answer.more) live.delete(groupId);
    else {
      live.add(groupId);
      refused.delete(groupId);
    }
    if (answer.kind === 'recovered' && after) return { kind: 'page', page: answer.page };
    deps.onHead(groupId, answer.kind === 'stands' ? answer.position : answer.page.position);
    return { kind: 'none' };
  }

  /** The next groups that this connection does not get live: as many as one question can be about. */
  function nextMissing(): Map<string, Position> {
    const missing = Object.entries(delivery.positions()).filter(([id]) => !live.has(id) && !refused.has(id));
    return new Map(missing.slice(0, questions.limit));
  }

  function joined(groupId: string, after: Position, answer: Answer): void {
    if (answer.kind === 'page') {
      delivery.page(groupId, after, answer.page, 'recovered');
      if (answer.page.more) catchUp.force(groupId, 'relay');
    }
    // It is caught up with first, and asked for again afterwards if need be.
    if (!live.has(groupId)) refused.add(groupId);
    catchUp.check(groupId, 'now');
  }

  /** One question after the other, and no faster than the relay wants: it counts the events of a connection. */
  async function joinAll(): Promise<void> {
    for (let groups = nextMissing(); groups.size > 0; groups = nextMissing()) {
      const { link } = status;
      if (!link) return;
      try {
        const answers = await questions.join(link, groups);
        if (status.link !== link) return;
        for (const [groupId, answer] of answers) {
          const after = groups.get(groupId);
          if (after) joined(groupId, after, take(groupId, after, answer));
        }
        if (undecided > 0 && [...groups.keys()].some((groupId) => live.has(groupId))) {
          undecided = 0;
          // Only the list says how far another window has read meanwhile.
          deps.onUnclear();
        }
      } catch (cause) {
        if (status.link !== link) return;
        const error = toClientError(cause);
        log.debug('unable to join', { groups: groups.size, code: error.code });
        if (error.code === 'RATE_LIMITED') {
          await waits.wait(0, error.retryAfterMs ?? RATE_LIMIT_MS);
          continue;
        }
        for (const groupId of groups.keys()) refuse(groupId, error.code);
        if (full) return;
      }
    }
  }

  function join(): void {
    if (joining || full || !deps.mayJoin()) return;
    joining = true;
    joinAll()
      .catch((error: unknown) => log.error('joining failed', { error }))
      .finally(() => {
        joining = false;
      });
  }

  function retry(): void {
    refused.clear();
    join();
  }

  function reset(): void {
    cancelRejoin();
    clock.clearTimeout(listTimer);
    undecided = 0;
    listTimer = undefined;
    live.clear();
    refused.clear();
    full = false;
    waits.skip();
  }

  return {
    add(groupId) {
      live.add(groupId);
      refused.delete(groupId);
    },
    remove: (groupId) => void live.delete(groupId),
    refuse,
    take,
    makeRoom() {
      if (!full) return;
      full = false;
      retry();
    },
    join,
    retry,
    reset,
    stop() {
      reset();
      waits.stop();
    },
  };
}
