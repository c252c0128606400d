import { type FocusEvent, type KeyboardEvent, type RefObject, useLayoutEffect } from 'react';

const STEPS: Readonly<Record<string, number>> = {
  ArrowDown: 1,
  ArrowUp: -1,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

interface OneStop {
  onFocus: (event: FocusEvent) => void;
  onKeyDown: (event: KeyboardEvent) => void;
}

/**
 * Makes the elements that match `selector` one stop for the Tab key, however many there are. The arrow keys move between them, and Home
 * and End go to the first and the last. They are rendered with `tabIndex={-1}`. The stop is where the focus was last, else `preferred`.
 */
export function useOneStop(
  container: RefObject<HTMLElement | null>,
  selector: string,
  preferred: (items: readonly HTMLElement[]) => HTMLElement | undefined,
): OneStop {
  const itemsOf = (): HTMLElement[] => Array.from(container.current?.querySelectorAll<HTMLElement>(selector) ?? []);

  function stopAt(stop: HTMLElement | undefined, items: readonly HTMLElement[]): void {
    for (const item of items) if (item !== stop && item.tabIndex === 0) item.tabIndex = -1;
    if (stop) stop.tabIndex = 0;
  }

  useLayoutEffect(() => {
    const items = itemsOf();
    const hasFocus = items.find((item) => item === document.activeElement);
    stopAt(hasFocus ?? preferred(items), items);
  });

  return {
    onFocus({ target }) {
      const items = itemsOf();
      const item = items.find((one) => one === target);
      if (item) stopAt(item, items);
    },
    onKeyDown(event) {
      const step = STEPS[event.key];
      const items = itemsOf();
      const at = items.findIndex((item) => item === document.activeElement);
      if (step === undefined || at < 0) return;
      event.preventDefault();
      items[Math.min(Math.max(at + step, 0), items.length - 1)]?.focus();
    },
  };
}
