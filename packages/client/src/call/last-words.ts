import type { CallMessage, DeclineReason, HangupReason } from './call-messages.ts';
import type { CallState, EndReason } from './call-states.ts';

/**
 * The words in which the other side is told. A window in whose place another one has answered says nothing, and neither does one that rings
 * and goes away, or was told that it shall stop: another may answer.
 */
export function lastWordOf(
  reason: EndReason,
  { isCaller, state, knows }: { isCaller: boolean; state: CallState; knows: 'knows' | undefined },
): CallMessage | undefined {
  if (reason === 'elsewhere' || (state === 'ringing' && knows)) return undefined;
  if (!isCaller && (state === 'ringing' || reason === 'no-media'))
    return { kind: 'decline', reason: declineOf(reason) };
  return { kind: 'hangup', reason: hangupOf(reason) };
}

function declineOf(reason: EndReason): DeclineReason {
  return reason === 'declined' || reason === 'busy' || reason === 'missed' ? reason : 'failed';
}

function hangupOf(reason: EndReason): HangupReason {
  switch (reason) {
    case 'hung-up':
    case 'missed':
    case 'lost':
      return reason;
    case 'declined':
    case 'busy':
      return 'elsewhere';
    default:
      return 'failed';
  }
}

/** How the other's last word ends the call here, if it does. Where it has further windows, those have to be told. */
export function endBy(
  message: Extract<CallMessage, { kind: 'decline' | 'hangup' }>,
  state: CallState,
): [reason: EndReason, knows?: 'knows'] | undefined {
  const { kind, reason } = message;
  // A window that declines after another has accepted changes nothing.
  if (kind === 'decline') return state === 'calling' ? [reason] : undefined;
  if (state === 'calling') return [reason === 'hung-up' ? 'declined' : 'failed'];
  if (state === 'ringing') return [reason === 'elsewhere' ? 'elsewhere' : 'missed', 'knows'];
  return [reason, 'knows'];
}
