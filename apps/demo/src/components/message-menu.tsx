import type { SentMessage } from '@groupcast/client';
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef } from 'react';

export interface OpenMenu {
  message: SentMessage;
  /** The button that has opened it, and that the focus goes back to. */
  button: HTMLElement;
}

interface MessageMenuProps extends OpenMenu {
  onInfo: () => void;
  onEdit: () => void;
  onDelete: () => void;
  onClose: () => void;
}

const GAP_PX = 4;
const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1 };

/** The menu of an own message, above everything else on the page. A click elsewhere and Escape close it. */
export function MessageMenu({ button, onInfo, onEdit, onDelete, onClose }: MessageMenuProps) {
  const menu = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const element = menu.current;
    if (!element) return;
    element.showPopover();
    const anchor = button.getBoundingClientRect();
    const { width, height } = element.getBoundingClientRect();
    const below = anchor.bottom + GAP_PX;
    const top = below + height <= innerHeight ? below : anchor.top - height - GAP_PX;
    element.style.top = `${Math.max(GAP_PX, top)}px`;
    element.style.left = `${Math.max(GAP_PX, Math.min(anchor.right - width, innerWidth - width - GAP_PX))}px`;
    element.querySelector('button')?.focus();
  }, [button]);

  useEffect(() => {
    const element = menu.current;
    const onToggle = (event: Event) => {
      if ((event as ToggleEvent).newState === 'closed') onClose();
    };
    // Not `toggle`, which comes later: the menu may have been asked for again by then, and would be lost.
    element?.addEventListener('beforetoggle', onToggle);
    return () => element?.removeEventListener('beforetoggle', onToggle);
  }, [onClose]);

  const onKeyDown = (event: KeyboardEvent) => {
    const items = Array.from(menu.current?.querySelectorAll('button') ?? []);
    const step = STEPS[event.key];
    const at = items.findIndex((item) => item === document.activeElement);
    const next = { Home: 0, End: items.length - 1 }[event.key] ?? (step === undefined ? undefined : at + step);
    if (event.key === 'Tab') menu.current?.hidePopover();
    if (next === undefined) return;
    event.preventDefault();
    items[(next + items.length) % items.length]?.focus();
  };

  const item = (label: string, run: () => void) => (
    <button
      className="menu-item"
      type="button"
      role="menuitem"
      tabIndex={-1}
      onClick={() => {
        onClose();
        run();
      }}
    >
      {label}
    </button>
  );
  return (
    <div className="menu" role="menu" aria-label="Message options" popover="auto" ref={menu} onKeyDown={onKeyDown}>
      {item('Edit', onEdit)}
      {item('Delete', onDelete)}
      {item('Read by', onInfo)}
    </div>
  );
}
