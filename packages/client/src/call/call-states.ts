/**
 * - `idle`: there has been no call yet.
 * - `calling`: this user calls, and the other's windows ring.
 * - `ringing`: the other calls, and this user has not answered.
 * - `connecting`: the call was accepted, and its connection is being made.
 * - `connected`: both are heard.
 * - `reconnecting`: the connection has failed, and another way through the network is looked for.
 * - `ended`: the last call is over. There is a reason.
 */
export type CallState = 'idle' | 'calling' | 'ringing' | 'connecting' | 'connected' | 'reconnecting' | 'ended';

/**
 * - `start`: the user calls somebody.
 * - `invited`: somebody calls.
 * - `accepted`: one side has accepted; where both have called each other, neither has to.
 * - `established`: the connection is there.
 * - `interrupted`: the connection has failed, or does not come back by itself.
 * - `end`: the call is over.
 */
export type CallEvent = 'start' | 'invited' | 'accepted' | 'established' | 'interrupted' | 'end';

/**
 * - `hung-up`: one of the two has hung up.
 * - `declined`, `busy`: the other did not want to answer, or is in another call.
 * - `missed`: nobody answered, or the caller hung up before.
 * - `unavailable`: the other has no connection.
 * - `elsewhere`: the user has answered in another window.
 * - `lost`: the connection was there, and did not come back.
 * - `no-media`: there is no microphone, or the user did not allow its use.
 * - `failed`: there was never a connection, or the relay has refused the call.
 */
export type EndReason =
  | 'hung-up'
  | 'declined'
  | 'busy'
  | 'missed'
  | 'unavailable'
  | 'elsewhere'
  | 'lost'
  | 'no-media'
  | 'failed';

const ignore = 'ignore';

/**
 * The life of a call. A caller goes from `calling` to `connecting` when the other accepts, and a callee from `ringing` when it accepts
 * itself. A connection that fails before it was ever there stays `connecting`: both states have an end of their own time, after which the
 * call ends. `ended` is left by the next call only, so late news of a call that is over change nothing. A second call does not begin
 * before the first has ended: `start` and `invited` are ignored, and the caller hears `busy`.
 */
export const TRANSITIONS: Readonly<Record<CallState, Readonly<Record<CallEvent, CallState | typeof ignore>>>> = {
  idle: {
    start: 'calling',
    invited: 'ringing',
    accepted: ignore,
    established: ignore,
    interrupted: ignore,
    end: ignore,
  },
  calling: {
    start: ignore,
    invited: ignore,
    accepted: 'connecting',
    established: ignore,
    interrupted: ignore,
    end: 'ended',
  },
  ringing: {
    start: ignore,
    invited: ignore,
    accepted: 'connecting',
    established: ignore,
    interrupted: ignore,
    end: 'ended',
  },
  connecting: {
    start: ignore,
    invited: ignore,
    accepted: ignore,
    established: 'connected',
    interrupted: ignore,
    end: 'ended',
  },
  connected: {
    start: ignore,
    invited: ignore,
    accepted: ignore,
    established: ignore,
    interrupted: 'reconnecting',
    end: 'ended',
  },
  reconnecting: {
    start: ignore,
    invited: ignore,
    accepted: ignore,
    established: 'connected',
    interrupted: ignore,
    end: 'ended',
  },
  ended: {
    start: 'calling',
    invited: 'ringing',
    accepted: ignore,
    established: ignore,
    interrupted: ignore,
    end: ignore,
  },
};

export function nextState(state: CallState, event: CallEvent): CallState {
  const next = TRANSITIONS[state][event];
  return next === ignore ? state : next;
}

/** Whether there is a call. */
export function isActive(state: CallState): boolean {
  return state !== 'idle' && state !== 'ended';
}
