import type { CallSnapshot, EndReason } from '@groupcast/client/call';

/** Whether a call is on its way or under way. */
export function isCallActive({ state }: CallSnapshot): boolean {
  return state !== 'idle' && state !== 'ended';
}

/** The state of a call that has a text; one that is connected shows its length instead. */
export function stateText(state: CallSnapshot['state']): string | undefined {
  switch (state) {
    case 'calling':
      return 'Calling …';
    case 'connecting':
      return 'Connecting …';
    case 'reconnecting':
      return 'Reconnecting …';
    case 'idle':
    case 'ringing':
    case 'connected':
    case 'ended':
      return undefined;
    default:
      return state satisfies never;
  }
}

/**
 * Says why a call has ended. `undefined`: the user has done it, or has answered in another window, and need not be told.
 * @param name the other's
 */
export function endText(
  { reason, direction }: Pick<CallSnapshot, 'reason' | 'direction'>,
  name: string,
): string | undefined {
  const isIncoming = direction === 'incoming';
  switch (reason) {
    case 'hung-up':
      return 'The call has ended.';
    case 'declined':
      return isIncoming ? undefined : `${name} has declined the call.`;
    case 'busy':
      return `${name} is busy.`;
    case 'missed':
      return isIncoming ? `You have missed a call from ${name}.` : `No answer from ${name}.`;
    case 'unavailable':
      return `${name} is not here at the moment.`;
    case 'lost':
      return 'The connection of the call was lost.';
    case 'no-media':
      return noMediaText();
    case 'failed':
      return 'The call did not come about.';
    case 'elsewhere':
    case null:
      return undefined;
    default:
      return reason satisfies never;
  }
}

/** Browsers have no microphone at all for a page that came over HTTP from another machine. */
function noMediaText(): string {
  if (!globalThis.isSecureContext) return 'Calls need a page that is served over HTTPS, or from this machine.';
  return 'There is no microphone, or this page may not use it.';
}

const OWN_OUTCOMES: Readonly<Record<string, string>> = {
  missed: 'no answer',
  declined: 'declined',
  busy: 'busy',
  unavailable: 'not reached',
} satisfies Partial<Record<EndReason, string>>;

/** The row of a message of kind `call`. Its fields come from another user's program, so they may be anything. */
export function outcomeText(
  { content, custom }: { content: string; custom?: Readonly<Record<string, unknown>> | undefined },
  { own, name }: { own: boolean; name: string },
): string {
  const outcome = custom?.['outcome'];
  const call = custom?.['video'] === true ? 'video call' : 'call';
  const text = typeof outcome === 'string' && Object.hasOwn(OWN_OUTCOMES, outcome) ? OWN_OUTCOMES[outcome] : undefined;
  if (text === undefined) return content;
  if (own) return `Your ${call}: ${text}`;
  return outcome === 'declined' ? `Declined ${call} from ${name}` : `Missed ${call} from ${name}`;
}

/** The length of a call: `0:07`, `12:30`, `1:02:03`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  const rest = String(seconds % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}
