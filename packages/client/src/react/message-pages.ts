import type { InfiniteData } from '@tanstack/react-query';
import type { MessagesSnapshot, ViewMessage } from '../index.ts';

/** A stretch of messages, oldest first. */
export interface MessagePage {
  messages: readonly ViewMessage[];
  /** The next older page ends below this `seq`; `null`: there is none. */
  before: number | null;
}

/** The first page is the newest one, with the messages that are being sent at its end; its parameter is `null`. */
export type MessagePages = InfiniteData<MessagePage, number | null>;

/**
 * Cuts the client's messages of a group into the pages that were asked for. Pages are bounds and no copies, so that each has the latest
 * state of its messages. A page in which nothing has changed is the same object, at the cost of comparing references: the pages shown
 * before say where to look, so that reading page after page costs as much as there is to read.
 */
export function toPages(
  { messages, hasEarlier }: Pick<MessagesSnapshot, 'messages' | 'hasEarlier'>,
  pageParams: readonly (number | null)[],
  shown: readonly MessagePage[] = [],
): MessagePages {
  const oldest = seqOf(messages[0]);
  const pages: MessagePage[] = [];
  const bounds: number[] = [];
  let end = messages.length;
  for (const bound of pageParams) {
    if (bound === null) continue;
    const known = shown[pages.length];
    const cut = cutAt(messages, bound, end - (known?.messages.length ?? 0));
    // Nothing is cut where one side is empty, because its messages were deleted or read again.
    if (cut === 0 || cut >= end) continue;
    pages.push(pageOf(messages, cut, end, bound, known));
    bounds.push(bound);
    end = cut;
  }
  const before = (hasEarlier ? oldest : undefined) ?? null;
  pages.push(pageOf(messages, 0, end, before, shown[pages.length]));
  return { pages, pageParams: [null, ...bounds] };
}

/** How many messages are below `bound`. They are in order, and those without a `seq` come last. `guess` is looked at first. */
function cutAt(messages: readonly ViewMessage[], bound: number, guess: number): number {
  const isBelow = (index: number): boolean => (seqOf(messages[index]) ?? Number.POSITIVE_INFINITY) < bound;
  if (guess > 0 && guess < messages.length && isBelow(guess - 1) && !isBelow(guess)) return guess;
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function seqOf(message: ViewMessage | undefined): number | undefined {
  return message && 'seq' in message ? message.seq : undefined;
}

/** The messages from `start` to `end`; the page that was shown before, if it is the same. */
function pageOf(
  messages: readonly ViewMessage[],
  start: number,
  end: number,
  before: number | null,
  shown: MessagePage | undefined,
): MessagePage {
  const isSame =
    shown?.before === before &&
    shown.messages.length === end - start &&
    shown.messages.every((message, index) => message === messages[start + index]);
  return isSame ? shown : { messages: messages.slice(start, end), before };
}
