import { useGroupcast } from '@groupcast/client/react';
import { useMutation } from '@tanstack/react-query';
import { type SubmitEvent, useState } from 'react';
import { parseNames, userIdFor } from '../names.ts';
import { Modal } from './modal.tsx';

interface NewGroupDialogProps {
  onCreated: (groupId: string) => void;
  onClose: () => void;
}

export function NewGroupDialog({ onCreated, onClose }: NewGroupDialogProps) {
  const client = useGroupcast();
  const [name, setName] = useState('');
  const [members, setMembers] = useState('');
  const create = useMutation({
    mutationFn: async () => {
      const memberIds = parseNames(members).map(userIdFor);
      const { id } = await client.api.createGroup({ name: name.trim(), memberIds });
      await client.groups.refresh();
      return id;
    },
    onSuccess(groupId) {
      onClose();
      onCreated(groupId);
    },
  });

  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    create.mutate();
  };

  return (
    <Modal title="New group" onClose={onClose}>
      <form onSubmit={onSubmit}>
        <label className="field">
          <span>Group name</span>
          <input dir="auto" value={name} onChange={(event) => setName(event.target.value)} maxLength={80} required />
        </label>
        <label className="field">
          <span>Members</span>
          <input
            dir="auto"
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
        {create.error && (
          <p className="error" role="alert">
            {create.error.message}
          </p>
        )}
        <div className="dialog-actions">
          <button className="button quiet" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" type="submit" disabled={create.isPending || name.trim() === ''}>
            Create group
          </button>
        </div>
      </form>
    </Modal>
  );
}
