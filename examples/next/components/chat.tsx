'use client';
import { GroupcastProvider, useConnection, useGroups } from '@groupcast/client/react';
import { useState } from 'react';
import type { Person } from '../server/people';
import { Conversation } from './conversation';
import { GroupList } from './group-list';
import { clientOf } from './groupcast-client';

interface ChatProps {
  apiUrl: string;
  me: Person;
  people: readonly Person[];
}

export function Chat({ apiUrl, me, people }: ChatProps) {
  const [client] = useState(() => clientOf(apiUrl, me.id));
  return (
    <GroupcastProvider client={client}>
      <Screen me={me} people={people} />
    </GroupcastProvider>
  );
}

function Screen({ me, people }: Omit<ChatProps, 'apiUrl'>) {
  const { data: groups } = useGroups();
  const [chosen, setChosen] = useState<string | null>(null);
  const open = groups?.find(({ id }) => id === chosen) ?? groups?.[0];
  return (
    <div className="chat">
      <header>
        <strong>Groupcast with Next.js</strong>
        <Connection />
        <span>{me.name}</span>
        <form method="post" action="/sign-out">
          <button>Sign out</button>
        </form>
      </header>
      <GroupList openGroupId={open?.id} people={people} onOpen={setChosen} />
      {open ? <Conversation key={open.id} group={open} me={me} /> : <main className="empty">No group is open.</main>}
    </div>
  );
}

const STATES: Record<string, string> = {
  connected: 'Connected',
  recovering: 'Catching up',
  'degraded-polling': 'Slow connection',
  ended: 'Signed out',
};

function Connection() {
  const { state } = useConnection();
  return (
    <>
      <span className="status" role="status" data-state={state}>
        {STATES[state] ?? 'Connecting'}
      </span>
      {state === 'ended' && <a href="/">Sign in again</a>}
    </>
  );
}
