/**
 * - `idle`: not started.
 * - `connecting`: getting a token or opening a connection.
 * - `recovering`: connected, and some group is still being caught up, or the relay delivers nothing at the moment and the API is polled.
 * - `connected`: connected, and every group has all events that are known of.
 * - `waiting`: no connection; the next attempt has a time.
 * - `degraded-polling`: no connection, and the API is asked at an interval instead. Attempts go on in the background.
 * - `ended`: there are no further attempts until `connect()` is called, and none at all after `close()`. There is a reason.
 */
export type ConnectionState =
  | 'idle'
  | 'connecting'
  | 'recovering'
  | 'connected'
  | 'waiting'
  | 'degraded-polling'
  | 'ended';

/**
 * - `attempt`: an attempt begins.
 * - `opened`: the relay has let the client in.
 * - `behind`: some group is being caught up, or the relay delivers nothing at the moment.
 * - `caught-up`: neither is the case.
 * - `lost`: the attempt failed or the connection is gone; there will be another attempt.
 * - `polled`, `poll-failed`: the outcome of asking the API while there is no connection.
 * - `end`: there will be no further attempt.
 */
export type ConnectionEvent = 'attempt' | 'opened' | 'behind' | 'caught-up' | 'lost' | 'polled' | 'poll-failed' | 'end';

const ignore = 'ignore';

/**
 * The life of a connection. Polling is no phase between two attempts but goes on beside them: while it works, the state stays
 * `degraded-polling` until an attempt succeeds; when it no longer works, the state follows the attempts again. An attempt may succeed
 * in `waiting` too, because a poll may fail while the attempt is under way. A connection opens as `recovering`, because it is not known
 * yet whether anything was missed. `ended` is left by a new `attempt` only: late news of an attempt that was given up change nothing.
 */
export const TRANSITIONS: Readonly<
  Record<ConnectionState, Readonly<Record<ConnectionEvent, ConnectionState | typeof ignore>>>
> = {
  idle: {
    attempt: 'connecting',
    opened: ignore,
    behind: ignore,
    'caught-up': ignore,
    lost: ignore,
    polled: ignore,
    'poll-failed': ignore,
    end: 'ended',
  },
  connecting: {
    attempt: ignore,
    opened: 'recovering',
    behind: ignore,
    'caught-up': ignore,
    lost: 'waiting',
    polled: 'degraded-polling',
    'poll-failed': ignore,
    end: 'ended',
  },
  recovering: {
    attempt: ignore,
    opened: ignore,
    behind: ignore,
    'caught-up': 'connected',
    lost: 'waiting',
    polled: ignore,
    'poll-failed': ignore,
    end: 'ended',
  },
  connected: {
    attempt: ignore,
    opened: ignore,
    behind: 'recovering',
    'caught-up': ignore,
    lost: 'waiting',
    polled: ignore,
    'poll-failed': ignore,
    end: 'ended',
  },
  waiting: {
    attempt: 'connecting',
    opened: 'recovering',
    behind: ignore,
    'caught-up': ignore,
    lost: ignore,
    polled: 'degraded-polling',
    'poll-failed': ignore,
    end: 'ended',
  },
  'degraded-polling': {
    attempt: ignore,
    opened: 'recovering',
    behind: ignore,
    'caught-up': ignore,
    lost: ignore,
    polled: ignore,
    'poll-failed': 'waiting',
    end: 'ended',
  },
  ended: {
    attempt: 'connecting',
    opened: ignore,
    behind: ignore,
    'caught-up': ignore,
    lost: ignore,
    polled: ignore,
    'poll-failed': ignore,
    end: ignore,
  },
};

export function nextState(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  const next = TRANSITIONS[state][event];
  return next === ignore ? state : next;
}
