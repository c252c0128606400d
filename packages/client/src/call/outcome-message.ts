import type { JsonObject } from '@groupcast/shared';
import type { EndReason } from './call-states.ts';

/** The message that a caller leaves in the group when there was no call. */
export interface OutcomeMessage {
  kind: 'call';
  content: string;
  custom: JsonObject;
}

/** `undefined`: there was a call, or none that the other has heard of. */
export function outcomeMessage(
  end: { reason: EndReason; reached: boolean; wasConnecting: boolean },
  video: boolean,
): OutcomeMessage | undefined {
  const outcome = outcomeOf(end);
  if (!outcome) return undefined;
  return {
    kind: 'call',
    content: outcome === 'declined' ? 'Declined call' : 'Missed call',
    custom: { outcome, video },
  };
}

function outcomeOf({ reason, reached, wasConnecting }: Parameters<typeof outcomeMessage>[0]): string | undefined {
  if (wasConnecting) return undefined;
  switch (reason) {
    case 'missed':
    case 'busy':
    case 'declined':
    case 'unavailable':
      return reason;
    case 'hung-up':
      // The caller did not wait any longer, which is a missed call to the other.
      return reached ? 'missed' : undefined;
    case 'elsewhere':
    case 'lost':
    case 'no-media':
    case 'failed':
      return undefined;
    default:
      return reason satisfies never;
  }
}
