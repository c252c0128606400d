/** The last thing that went wrong, until it is dismissed. */
export function Notice({ text, onDismiss }: { text: string; onDismiss: () => void }) {
  return (
    <div className="notice" role="alert">
      <p>{text}</p>
      <button className="button link" type="button" onClick={onDismiss}>
        Dismiss
      </button>
    </div>
  );
}
