import type { CommandFailure } from '../command.ts';
import type { CheckedSecret } from '../refusals.ts';

/** The way that messages take to the relay, and how receivers get in. */
export interface Route {
  /** Names this run in its messages; see `messageId`. */
  readonly run: string;
  readonly groupId: string;
  /** Which secret the relay checks when a receiver connects. */
  readonly receiverSecret: CheckedSecret;
  /** A token for receiver `index`, and the relay's URL. A fresh one each time: asked again on reconnects and refreshes. */
  admit(index: number): Promise<{ token: string; relayUrl: string }>;
  /** Call it once the receivers are in: throws `CommandFailure` when nothing can be sent. */
  ready(): Promise<void>;
  /** Resolves when the message is acknowledged; rejects with an `Error` whose `code` says why not. */
  send(index: number): Promise<void>;
  /** Leaves nothing behind. Does not throw: what could not be removed is returned. */
  close(): Promise<CommandFailure | undefined>;
}

/** The `clientMessageId` of message `i`, `<run>.<i>`, which tells this run's messages from any other. */
export function messageId(run: string, index: number): string {
  return `${run}.${index}`;
}

/** The index of one of this run's messages, or -1. */
export function messageIndex(run: string, clientMessageId: unknown, count: number): number {
  if (typeof clientMessageId !== 'string' || !clientMessageId.startsWith(`${run}.`)) return -1;
  const index = Number(clientMessageId.slice(run.length + 1));
  return Number.isInteger(index) && index >= 0 && index < count ? index : -1;
}
