import type { InfiniteData } from '@tanstack/react-query';
import type { MessagesSnapshot, ViewMessage } from '../index.ts';

/** A stretch of messages, oldest first. */
export interface MessagePage {
  messages: readonly ViewMessage[];
  /** The next older page ends below this `seq`; `null`: there is none. */
  before: number | null;
}

/** The first page is the newest one, and has what is on its way at its end; its parameter is `null`. */
export type MessagePages = InfiniteData<MessagePage, number | null>;

/**
 * Cuts what the client shows of a group into the pages that were asked for. Pages are bounds, not copies: whatever the
 * client learns of a message, its page has it. A page in which nothing has changed is the same object.
 */
export function toPages(
  { messages, hasEarlier }: Pick<MessagesSnapshot, 'messages' | 'hasEarlier'>,
  pageParams: readonly (number | null)[],
  shown: readonly MessagePage[] = [],
): MessagePages {
  const oldest = seqOf(messages[0]);
  const bounds: number[] = [];
  const cuts: number[] = [];
  for (const bound of pageParams) {
    // Where nothing is left on one side, because it was deleted or read again, there is nothing to cut.
    const cut = bound === null ? 0 : messages.filter((message) => (seqOf(message) ?? bound) < bound).length;
    if (bound === null || cut === 0 || cut >= (cuts.at(-1) ?? messages.length)) continue;
    bounds.push(bound);
    cuts.push(cut);
  }
  const pages = [messages.length, ...cuts].map((end, index) => {
    const before = bounds[index] ?? (hasEarlier ? oldest : undefined) ?? null;
    return keep(shown[index], { messages: messages.slice(cuts[index] ?? 0, end), before });
  });
  return { pages, pageParams: [null, ...bounds] };
}

function seqOf(message: ViewMessage | undefined): number | undefined {
  return message?.status === 'sent' ? message.seq : undefined;
}

function keep(before: MessagePage | undefined, now: MessagePage): MessagePage {
  const same =
    before?.before === now.before &&
    before.messages.length === now.messages.length &&
    now.messages.every((message, index) => message === before.messages[index]);
  return same ? before : now;
}
