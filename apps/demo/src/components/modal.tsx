import { type ReactNode, useId, useLayoutEffect, useRef } from 'react';

interface ModalProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  className?: string;
  /** Where the focus goes: to the first control, or to the dialog itself. It goes back when the dialog closes. */
  focus?: 'control' | 'dialog';
}

/** A dialog over the page, open as long as it is mounted. Escape closes it. */
export function Modal({ title, onClose, children, className = '', focus = 'control' }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    if (focus === 'dialog') element?.focus();
    // Before it leaves the page: only then the browser gives the focus back.
    return () => element?.close();
  }, [focus]);
  return (
    <dialog
      className={`dialog ${className}`}
      ref={dialog}
      tabIndex={focus === 'dialog' ? -1 : undefined}
      onClose={() => !dialog.current?.open && onClose()}
      aria-labelledby={titleId}
    >
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}
