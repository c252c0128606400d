import type { JsonObject } from '@groupcast/shared';
import type { GroupId, UserId } from '../api/api.ts';
import type { Clock, Logger } from '../environment.ts';
import { type ClientError, toClientError } from '../errors.ts';
import { type CallMessage, type Incoming, parseSignal, toSignal } from './call-messages.ts';

/** How signals travel: a client has these. */
export interface SignalPort {
  signal: (groupId: GroupId, toUserId: UserId, kind: string, data: JsonObject) => Promise<{ delivered: number }>;
  on: (name: 'transient', listener: (event: { event: string; payload: unknown }) => void) => () => void;
}

/** The call that a message is about, and the user that it goes to: to one window, or to all of them. */
export interface Address {
  groupId: string;
  userId: string;
  callId: string;
  to?: string | undefined;
}

export interface Signalling {
  /** The name of this window. */
  readonly from: string;
  /** How many windows were reached, or why that is not known. */
  send: (address: Address, message: CallMessage) => Promise<number | ClientError>;
  /** The same, again and again until the relay has taken it. */
  insist: (address: Address, message: CallMessage) => void;
  stop: () => void;
}

/** How often a message is sent at most until the relay takes it. */
const TRIES = 15;

/** Sends and reads the messages of calls. Those that cannot be read are left out and warned about. */
export function createSignalling(
  deps: { client: SignalPort; clock: Clock; log: Logger; onMessage: (message: Incoming) => void },
  options: { from: string; repeatMs: number },
): Signalling {
  const { client, clock, log } = deps;
  const { from } = options;
  const timers = new Set<unknown>();
  let stopped = false;

  async function send({ groupId, userId, callId, to }: Address, message: CallMessage): Promise<number | ClientError> {
    const { kind, data } = toSignal(message, { callId, from, to });
    try {
      return (await client.signal(groupId, userId, kind, data)).delivered;
    } catch (cause) {
      const error = toClientError(cause);
      log.debug('a message of a call is not sent', { kind, code: error.code });
      return error;
    }
  }

  async function insist(address: Address, message: CallMessage, tries = TRIES): Promise<void> {
    const outcome = await send(address, message);
    if (typeof outcome === 'number' || !outcome.retryable || tries <= 1 || stopped) return;
    const timer = clock.setTimeout(() => {
      timers.delete(timer);
      void insist(address, message, tries - 1);
    }, options.repeatMs);
    timers.add(timer);
  }

  const stopListening = client.on('transient', ({ event, payload }) => {
    if (event !== 'signal') return;
    const incoming = parseSignal(payload);
    if (incoming === 'malformed') log.warn('a message of a call cannot be read');
    else if (incoming) deps.onMessage(incoming);
  });

  return {
    from,
    send,
    insist: (address, message) => void insist(address, message),
    stop() {
      stopped = true;
      stopListening();
      for (const timer of timers) clock.clearTimeout(timer);
      timers.clear();
    },
  };
}
