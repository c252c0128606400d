import type { Incoming } from './call-messages.ts';
import type { CallState } from './call-states.ts';
import type { OneCall } from './one-call.ts';

/**
 * - `busy`: the user is not disturbed.
 * - `ignore`: both have called each other, and this side's call counts.
 * - `join`: the same, but the other's call counts.
 * - `replace`: the other has given up the call that is here, and calls again.
 */
export type Verdict = 'busy' | 'ignore' | 'join' | 'replace';

/** Decides on an invitation that comes during a call. Both sides decide alike: of two calls that cross, the lower id counts. */
export function judgeSecondCall(
  { userId, callId, from }: Incoming,
  current: Pick<OneCall, 'userId' | 'callId' | 'peerWindow' | 'hasInvited'>,
  state: CallState,
): Verdict {
  if (userId !== current.userId) return 'busy';
  switch (state) {
    case 'calling':
      return current.hasInvited && current.callId < callId ? 'ignore' : 'join';
    case 'connecting':
    case 'connected':
      return from === current.peerWindow ? 'replace' : 'busy';
    case 'ringing':
    case 'reconnecting':
    case 'idle':
    case 'ended':
      return 'replace';
    default:
      return state satisfies never;
  }
}
