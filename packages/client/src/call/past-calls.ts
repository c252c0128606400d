import type { CallMessage, Incoming } from './call-messages.ts';
import type { Address } from './signalling.ts';

/** The calls that are over. A message about one of them is answered, so that the other side ends too where the news was lost. */
export interface PastCalls {
  /** `reply` is the last word of this window; without one it is silent. */
  add: (call: { callId: string; userId: string }, reply: CallMessage | undefined) => void;
  has: (callId: string) => boolean;
  /** Answers a message, but the last word of the other side is not answered. */
  answer: (incoming: Incoming) => void;
}

/** Most calls that are remembered. */
const MAX_CALLS = 100;

export function createPastCalls(send: (address: Address, message: CallMessage) => void): PastCalls {
  const calls = new Map<string, { userId: string; reply: CallMessage | undefined }>();
  return {
    add({ callId, userId }, reply) {
      calls.set(callId, { userId, reply });
      for (const oldest of calls.keys()) {
        if (calls.size <= MAX_CALLS) return;
        calls.delete(oldest);
      }
    },
    has: (callId) => calls.has(callId),
    answer({ callId, groupId, userId, from, message }) {
      const call = calls.get(callId);
      if (!call?.reply || call.userId !== userId) return;
      if (message.kind === 'hangup' || message.kind === 'decline' || message.kind === 'taken') return;
      send({ groupId, userId, callId, to: from }, call.reply);
    },
  };
}
