'use client';
import { useGroupcast, useGroups } from '@groupcast/client/react';
import { type SubmitEvent, useState } from 'react';
import type { Person } from '../server/people';

interface GroupListProps {
  openGroupId: string | undefined;
  people: readonly Person[];
  onOpen: (groupId: string) => void;
}

export function GroupList({ openGroupId, people, onOpen }: GroupListProps) {
  const { data: groups, error } = useGroups();
  return (
    <aside>
      <nav aria-label="Groups">
        {groups?.map(({ id, name, unreadCount, lastMessage }) => (
          <button key={id} type="button" aria-current={id === openGroupId} onClick={() => onOpen(id)}>
            <span className="name">{name}</span>
            {unreadCount > 0 && <span className="unread">{unreadCount}</span>}
            <span className="last">{lastMessage?.content}</span>
          </button>
        ))}
      </nav>
      {groups?.length === 0 && <p className="soft">You are in no group yet. Make one:</p>}
      {error && !groups && <p role="alert">{error.message}</p>}
      <NewGroup people={people} onCreated={onOpen} />
    </aside>
  );
}

function NewGroup({ people, onCreated }: { people: readonly Person[]; onCreated: (groupId: string) => void }) {
  const { api } = useGroupcast();
  const [problem, setProblem] = useState<string | null>(null);

  async function create(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const name = new FormData(form).get('name');
    if (typeof name !== 'string' || name.trim() === '') return;
    try {
      // Everybody is in it. The list follows by itself, here and on every member's screen.
      const group = await api.createGroup({ name: name.trim(), memberIds: people.map(({ id }) => id) });
      form.reset();
      setProblem(null);
      onCreated(group.id);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <form className="new-group" onSubmit={(event) => void create(event)}>
      <input name="name" aria-label="Group name" placeholder="New group" autoComplete="off" maxLength={100} />
      <button aria-label="Create group">+</button>
      {problem && <p role="alert">{problem}</p>}
    </form>
  );
}
