import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { z } from 'zod';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { type CallQueue, type CallQueueLimits, createCallQueue } from './call-queue.ts';
import { type Circuit, type CircuitState, createCircuit, type Outcome } from './circuit.ts';
import { CallFailure, type Transport } from './transport.ts';

/** The kinds of calls. Each has a queue and a circuit of its own, so that one that hangs holds up no other. */
export const CALLS = ['memberships', 'groups', 'history', 'cursors', 'presence', 'events', 'connect'] as const;
export type CallName = (typeof CALLS)[number];

/** In batches, in which no user has a share: the batcher sees to that. */
const BATCHED: CallQueueLimits = { atOnce: 8, atOncePerUser: 8, waiting: 500, waitingPerUser: 500, maxWaitMs: 3_000 };
/**
 * All of them together are fewer than the connections that the internal port of an API with few descriptors has: Groupcast's API does not
 * offer `connect`.
 */
const LIMITS: Readonly<Record<CallName, CallQueueLimits>> = {
  memberships: BATCHED,
  groups: BATCHED,
  history: BATCHED,
  cursors: BATCHED,
  presence: BATCHED,
  events: { atOnce: 32, atOncePerUser: 4, waiting: 1_000, waitingPerUser: 32, maxWaitMs: 1_500 },
  // By address. Behind a proxy all users have one, so that a share is half of it all.
  connect: { atOnce: 32, atOncePerUser: 16, waiting: 2_000, waitingPerUser: 1_000, maxWaitMs: 3_000 },
};
/** How often circuits that nobody uses are looked at, in milliseconds. */
const PROBE_INTERVAL_MS = 1_000;
/** A question that every back end can answer at once. */
const PROBE = { path: '/internal/memberships', body: { users: [] }, maxAnswerBytes: 4_096 };

/** Calls to the back end: bounded, and refused at once while it does not answer. */
export interface Calls {
  /**
   * Throws `API_UNAVAILABLE`, also for an answer that does not fit `schema`; and, where the back end may refuse, a `CallFailure` of the kind
   * `refused`. `userId`: whose call it is (or the address, where that is what is asked), or '' for a batch.
   */
  ask<S extends z.ZodType>(
    name: CallName,
    asked: { userId: string; body: unknown; schema: S; maxAnswerBytes: number; mayRefuse?: boolean },
  ): Promise<z.output<S>>;
  /** Whether the back end has not answered lately. */
  isFailing(): boolean;
  stop(): void;
}

/** Whether a call has failed because the back end does not offer it. */
export function isNotOffered(error: unknown): boolean {
  const { cause } = error instanceof GroupcastError ? error : {};
  return cause instanceof CallFailure && cause.kind === 'not-offered';
}

interface Line {
  queue: CallQueue;
  circuit: Circuit;
}

function unavailable(reason: string, options: { cause?: unknown; retryAfterMs?: number } = {}): GroupcastError {
  return new GroupcastError('API_UNAVAILABLE', `unable to ask the API; ${reason}`, options);
}

/** The parts that hear how the calls go. */
export interface CallWitnesses {
  metrics: RelayMetrics;
  monitor: Pick<MonitorFeed, 'publish'>;
  log: Logger;
}

export function createCalls(deps: CallWitnesses & { transport: Transport }): Calls {
  const { transport, metrics, monitor, log } = deps;
  const warn = warnOnceEvery(60_000);
  /** Calls that the back end does not offer, which is said once. */
  const notOffered = new Set<CallName>();

  function onChange(call: CallName, state: CircuitState): void {
    if (state === 'half-open') return;
    warn(`${call} ${state}`, (suppressed) => {
      if (state === 'closed') {
        log.info({ call, suppressed }, 'the back end answers again');
        return;
      }
      const message = 'the back end does not answer: what needs it is refused until it does';
      log.warn({ code: 'API_UNAVAILABLE', call, suppressed }, message);
      monitor.publish({ kind: 'warning', code: 'API_UNAVAILABLE', message: `${message} (${call})` });
    });
  }

  const lines = Object.fromEntries(
    CALLS.map((name) => [
      name,
      { queue: createCallQueue(LIMITS[name]), circuit: createCircuit({ onChange: (state) => onChange(name, state) }) },
    ]),
  ) as Record<CallName, Line>;
  metrics.watchBackEnd(() => Object.fromEntries(CALLS.map((name) => [name, lines[name].circuit.state])));

  function assertClosed(call: CallName): void {
    const retryAfterMs = lines[call].circuit.refusal();
    if (retryAfterMs !== undefined) throw unavailable('it has not answered lately', { retryAfterMs });
  }

  /** A single answer that cannot be used opens no circuit for events and sign-ins: it may be the fault of one user's payload. */
  function outcomeOf(call: CallName, error: unknown): Outcome {
    if (!(error instanceof CallFailure)) return 'failed';
    if (error.kind === 'not-offered' || error.kind === 'refused') return 'answered';
    if (error.kind === 'unusable') return call === 'events' || call === 'connect' ? 'answered' : 'failed';
    return error.kind;
  }

  async function post<T>(
    call: CallName,
    { path, body, ...options }: { path: string; body: unknown; maxAnswerBytes: number; mayRefuse?: boolean },
    read: (answer: unknown) => T,
  ): Promise<T> {
    const settle = lines[call].circuit.begin();
    try {
      const answer = read(await transport.post(path, body, options));
      settle('answered');
      return answer;
    } catch (error) {
      settle(outcomeOf(call, error));
      throw error;
    }
  }

  function readBy<S extends z.ZodType>(schema: S): (answer: unknown) => z.output<S> {
    return (answer) => {
      const parsed = schema.safeParse(answer);
      if (parsed.success) return parsed.data;
      throw new CallFailure('unusable', 'its answer is malformed', { cause: parsed.error });
    };
  }

  function noteNotOffered(call: CallName): void {
    if (notOffered.has(call)) return;
    notOffered.add(call);
    if (call === 'connect') {
      log.error({ call }, 'the back end does not offer /internal/connect: with AUTH_BY=back-end nobody is let in');
    } else if (call === 'memberships') {
      log.info(
        { call },
        'the back end does not offer /internal/memberships: users join the groups of their tokens alone',
      );
    } else log.info({ call }, `the back end does not offer /internal/${call}`);
  }

  async function make<S extends z.ZodType>(
    call: CallName,
    {
      body,
      schema,
      maxAnswerBytes,
      mayRefuse = false,
    }: { body: unknown; schema: S; maxAnswerBytes: number; mayRefuse?: boolean },
  ): Promise<z.output<S>> {
    try {
      const asked = { path: `/internal/${call}`, body, maxAnswerBytes, mayRefuse };
      const answer = await post(call, asked, readBy(schema));
      metrics.backEndCalls.inc({ call, outcome: 'answered' });
      return answer;
    } catch (error) {
      if (!(error instanceof CallFailure)) throw error;
      metrics.backEndCalls.inc({ call, outcome: error.kind });
      if (error.kind === 'refused') throw error;
      if (error.kind === 'not-offered') noteNotOffered(call);
      else
        warn(`${call} failed`, (suppressed) => {
          log.warn({ call, err: error, suppressed }, `a call to the back end failed: ${error.message}`);
        });
      const why = error.kind === 'not-offered' ? `it does not offer /internal/${call}` : error.message;
      throw unavailable(why, { cause: error });
    }
  }

  /** A circuit whose callers have gone would stay open for ever. */
  function probe(): void {
    for (const call of CALLS) {
      if (!lines[call].circuit.isProbeDue()) continue;
      post(call, PROBE, () => undefined).catch((error: unknown) => {
        log.debug({ call, err: error }, 'the back end does not answer yet');
      });
    }
  }
  const timer = setInterval(probe, PROBE_INTERVAL_MS);
  timer.unref();

  return {
    async ask(call, asked) {
      let isMade = false;
      try {
        assertClosed(call);
        return await lines[call].queue.run(asked.userId, async () => {
          // The circuit may have opened while this call waited.
          assertClosed(call);
          isMade = true;
          return make(call, asked);
        });
      } finally {
        if (!isMade) metrics.backEndCalls.inc({ call, outcome: 'not-made' });
      }
    },
    isFailing: () => CALLS.some((name) => lines[name].circuit.state !== 'closed'),
    stop: () => clearInterval(timer),
  };
}
