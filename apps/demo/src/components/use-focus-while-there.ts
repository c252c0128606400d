import { type RefObject, useLayoutEffect } from 'react';

/**
 * Moves the focus to an element that comes, and back when it goes: to where it was before, or into the message field where that is gone.
 * A user whose focus is elsewhere by then is left alone.
 */
export function useFocusWhileThere(target: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const element = target.current;
    const before = document.activeElement;
    element?.focus();
    return () => {
      if (element?.contains(document.activeElement) !== true) return;
      // Once the rest of the page is drawn as well: a button that a call has disabled takes no focus before.
      queueMicrotask(() => {
        const isUsable = before instanceof HTMLElement && before !== document.body && before.isConnected;
        const back = isUsable ? before : document.querySelector<HTMLElement>('.composer textarea');
        if (document.activeElement === document.body) back?.focus();
      });
    };
  }, [target]);
}
