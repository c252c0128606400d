import type { ViewMessage } from '@groupcast/client';
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

const NEAR_END_PX = 60;
const NEAR_START_PX = 300;

interface ScrollOptions {
  rows: readonly ViewMessage[];
  onAtEnd: (isAtEnd: boolean) => void;
  /** The oldest rows come into sight. */
  onNearStart: () => void;
}

interface Seen {
  isAtEnd: boolean;
  /** The key of the newest row, and where it was drawn. */
  last: string | undefined;
  anchor: HTMLElement | null;
  anchorTop: number;
}

interface Scroll {
  scroller: RefObject<HTMLDivElement | null>;
  onScroll: () => void;
  toEnd: () => void;
  /** Number of messages that came in below the visible ones. */
  unseen: number;
}

/** Follows the newest message. After the reader has scrolled up, the visible messages stay where they are. */
export function useScroll({ rows, onAtEnd, onNearStart }: ScrollOptions): Scroll {
  const scroller = useRef<HTMLDivElement>(null);
  const seen = useRef<Seen>({ isAtEnd: true, last: undefined, anchor: null, anchorTop: 0 });
  const [unseen, setUnseen] = useState(0);

  const setAtEnd = useCallback(
    (isAtEnd: boolean) => {
      if (isAtEnd) setUnseen(0);
      if (isAtEnd !== seen.current.isAtEnd) onAtEnd(isAtEnd);
      seen.current.isAtEnd = isAtEnd;
    },
    [onAtEnd],
  );

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const { isAtEnd, last, anchor, anchorTop } = seen.current;
    const lastIndex = rows.findLastIndex(({ key }) => key === last);
    const added = lastIndex < 0 ? [] : rows.slice(lastIndex + 1);
    if (isAtEnd || added.some((row) => !('seq' in row))) {
      element.scrollTop = element.scrollHeight;
      setAtEnd(true);
    } else {
      // Rows that came or went above it have moved the row that was the last one.
      if (anchor?.isConnected) element.scrollTop += anchor.offsetTop - anchorTop;
      if (added.length > 0) setUnseen((count) => count + added.length);
    }
    const newest = element.querySelector<HTMLElement>('li:last-child');
    Object.assign(seen.current, { last: rows.at(-1)?.key, anchor: newest, anchorTop: newest?.offsetTop ?? 0 });
  }, [rows, setAtEnd]);

  // The newest message stays in sight when the composer grows or the window turns.
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => {
      if (seen.current.isAtEnd) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return {
    scroller,
    unseen,
    onScroll() {
      const element = scroller.current;
      if (!element) return;
      setAtEnd(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX);
      if (element.scrollTop < NEAR_START_PX) onNearStart();
    },
    toEnd: () => scroller.current?.scrollTo({ top: scroller.current.scrollHeight }),
  };
}
