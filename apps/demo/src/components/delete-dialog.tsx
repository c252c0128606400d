import { Modal } from './modal.tsx';

/** Asks before a message is gone for everybody. */
export function DeleteDialog({
  content,
  onDelete,
  onClose,
}: {
  content: string;
  onDelete: () => void;
  onClose: () => void;
}) {
  return (
    <Modal title="Delete this message?" onClose={onClose}>
      <p className="quote" dir="auto">
        {content}
      </p>
      <p className="muted small">It is gone for every member.</p>
      <div className="dialog-actions">
        <button className="button quiet" type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          className="button danger"
          type="button"
          onClick={() => {
            onClose();
            onDelete();
          }}
        >
          Delete message
        </button>
      </div>
    </Modal>
  );
}
