import { type SubmitEvent, useEffect, useRef, useState } from 'react';
import { parseNames, userIdFor } from '../names.ts';

interface NewGroupDialogProps {
  onCreate: (name: string, memberIds: string[]) => Promise<void>;
  onClose: () => void;
}

export function NewGroupDialog({ onCreate, onClose }: NewGroupDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [name, setName] = useState('');
  const [members, setMembers] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);

  const create = async () => {
    setBusy(true);
    setError(null);
    try {
      await onCreate(name.trim(), parseNames(members).map(userIdFor));
      onClose();
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  };

  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    void create();
  };

  return (
    <dialog className="dialog" ref={dialog} onClose={onClose} aria-labelledby="new-group-title">
      <form onSubmit={onSubmit}>
        <h2 id="new-group-title">New group</h2>
        <label className="field">
          <span>Group name</span>
          <input value={name} onChange={(event) => setName(event.target.value)} maxLength={80} required />
        </label>
        <label className="field">
          <span>Members</span>
          <input
            value={members}
            onChange={(event) => setMembers(event.target.value)}
            placeholder="Bob, Carol"
            autoComplete="off"
            aria-describedby="new-group-hint"
          />
        </label>
        <p className="muted small" id="new-group-hint">
          Names, separated by commas. They need not have logged in yet.
        </p>
        {error !== null && (
          <p className="error" role="alert">
            {error}
          </p>
        )}
        <div className="dialog-actions">
          <button className="button quiet" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" type="submit" disabled={busy || name.trim() === ''}>
            Create group
          </button>
        </div>
      </form>
    </dialog>
  );
}
