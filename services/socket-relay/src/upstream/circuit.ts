/**
 * A call to the back end that has failed again and again is not made for a while: its callers are answered at once instead of after the
 * deadline, and a back end that struggles is left alone. After a pause one caller may try, and the first success ends it all; a failure
 * doubles the pause. Only calls that were begun since the last change of state count, so that the rest of a bad time neither opens a circuit
 * that has closed nor closes one that has opened. Without a caller, the owner of the circuit tries (`isProbeDue`).
 *
 * | state     | call           | answered | failed               | failed once too often  | the pause is over |
 * |-----------|----------------|----------|----------------------|------------------------|-------------------|
 * | closed    | is made        | –        | –                    | open                   | –                 |
 * | open      | is refused     | –        | –                    | –                      | half-open         |
 * | half-open | one, the probe | closed   | open, a longer pause | open, a longer pause   | –                 |
 */
export type CircuitState = 'closed' | 'open' | 'half-open';
type Happening = 'answered' | 'failed' | 'limit' | 'elapsed';

export const TRANSITIONS: Readonly<Record<CircuitState, Readonly<Record<Happening, CircuitState | 'ignore'>>>> = {
  closed: { answered: 'ignore', failed: 'ignore', limit: 'open', elapsed: 'ignore' },
  open: { answered: 'ignore', failed: 'ignore', limit: 'ignore', elapsed: 'half-open' },
  'half-open': { answered: 'closed', failed: 'open', limit: 'open', elapsed: 'ignore' },
};

export type Outcome = 'answered' | 'failed' | 'timed-out';

export interface Circuit {
  readonly state: CircuitState;
  /** Milliseconds until it is worth asking again; `undefined` where a call may be made now. */
  refusal(): number | undefined;
  /** Begins a call, which `refusal` has let pass in this turn. Takes its outcome, once. */
  begin(): (outcome: Outcome) => void;
  /** Whether the pause has been over for a second, and nobody has tried. */
  isProbeDue(): boolean;
}

/** Failures in a row after which it opens. */
const MAX_IN_A_ROW = 5;
/** Calls whose outcomes are remembered, and how many of them there have to be before their share of time-outs counts. */
const REMEMBERED = 20;
const MIN_REMEMBERED = 10;
/** Share of time-outs at which it opens: other callers are answered in between, and each of these has waited for the whole deadline. */
const MAX_TIMED_OUT = 1 / 2;
/** How long it stays open, in milliseconds. The callers that try again by themselves do so within these times. */
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 2_000;
const PROBE_AFTER_MS = 1_000;

export function createCircuit(deps: {
  onChange: (state: CircuitState) => void;
  /** Monotonic milliseconds. */
  now?: () => number;
}): Circuit {
  const now = deps.now ?? (() => performance.now());
  let state: CircuitState = 'closed';
  /** Counts the changes of state: a call belongs to the period in which it was begun. */
  let period = 0;
  let outcomes: Outcome[] = [];
  let pauseMs = MIN_PAUSE_MS;
  let openUntil = 0;

  function happen(what: Happening): void {
    const next = TRANSITIONS[state][what];
    if (next === 'ignore') return;
    if (next === 'open') {
      pauseMs = state === 'half-open' ? Math.min(MAX_PAUSE_MS, pauseMs * 2) : MIN_PAUSE_MS;
      openUntil = now() + pauseMs;
    }
    state = next;
    period += 1;
    outcomes = [];
    deps.onChange(state);
  }

  function isOneTooMany(): boolean {
    const last = outcomes.slice(-MAX_IN_A_ROW);
    if (last.length === MAX_IN_A_ROW && !last.includes('answered')) return true;
    const late = outcomes.filter((outcome) => outcome === 'timed-out').length;
    return outcomes.length >= MIN_REMEMBERED && late >= outcomes.length * MAX_TIMED_OUT;
  }

  return {
    get state() {
      return state;
    },
    refusal() {
      if (state === 'closed') return undefined;
      if (state === 'half-open') return MIN_PAUSE_MS;
      const left = openUntil - now();
      return left > 0 ? Math.ceil(left) : undefined;
    },
    begin() {
      if (state === 'open') happen('elapsed');
      const begunIn = period;
      return (outcome) => {
        if (begunIn !== period) return;
        outcomes = [...outcomes, outcome].slice(-REMEMBERED);
        if (outcome === 'answered') happen('answered');
        else happen(isOneTooMany() ? 'limit' : 'failed');
      };
    },
    isProbeDue: () => state === 'open' && now() - openUntil >= PROBE_AFTER_MS,
  };
}
