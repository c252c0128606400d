import { type KeyboardEvent, type SubmitEvent, useLayoutEffect, useRef, useState } from 'react';

interface ComposerProps {
  groupName: string;
  initialDraft: string;
  onDraft: (draft: string) => void;
  onSend: (content: string) => void;
  /** There is while a message that was sent is being edited. */
  onCancel?: (() => void) | undefined;
}

/** Longest name that fits into the field of a phone, in characters. */
const MAX_NAME_LENGTH = 14;

/** Enter sends, Shift+Enter starts a new line, and Escape ends an edit. */
export function Composer({ groupName, initialDraft, onDraft, onSend, onCancel }: ComposerProps) {
  const [draft, setDraft] = useState(initialDraft);
  // The text that the next press of the button sends. A second press may come before React has rendered the first.
  const unsent = useRef(initialDraft);
  const input = useRef<HTMLTextAreaElement>(null);

  // On a touch screen focus would push the keyboard over the messages.
  const isEdit = onCancel !== undefined;
  useLayoutEffect(() => {
    if (isEdit || matchMedia('(pointer: fine)').matches) input.current?.focus();
    input.current?.setSelectionRange(input.current.value.length, input.current.value.length);
  }, [isEdit]);

  const change = (text: string) => {
    unsent.current = text;
    setDraft(text);
    onDraft(text);
  };

  const send = () => {
    const content = unsent.current.trim();
    if (content === '') return;
    onSend(content);
    change('');
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') onCancel?.();
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };

  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    send();
    input.current?.focus();
  };

  return (
    <form className="composer" onSubmit={onSubmit}>
      {onCancel && (
        <p className="editing small" role="status">
          Editing a message
          <button className="button link" type="button" onClick={() => onCancel()}>
            Cancel
          </button>
        </p>
      )}
      <textarea
        ref={input}
        rows={1}
        aria-label="Message"
        dir="auto"
        placeholder={groupName.length > MAX_NAME_LENGTH ? 'Message' : `Message ${groupName}`}
        value={draft}
        onChange={(event) => change(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <button className="button primary" type="submit" disabled={draft.trim() === ''}>
        {isEdit ? 'Save' : 'Send'}
      </button>
    </form>
  );
}
