'use client';
import { useGroupcast } from '@groupcast/client/react';
import { type SubmitEvent, useEffect, useState } from 'react';

interface Announcement {
  id: string;
  groupId: string;
  text: string;
  by: string;
}

/** Most announcements on screen: a newer one takes the place of the oldest. */
const MAX_SHOWN = 3;

/** Shows the server's announcements of a group. They are live or never: events that another program than the API sends have no position. */
export function Announcements({ groupId }: { groupId: string }) {
  const client = useGroupcast();
  const [shown, setShown] = useState<readonly Announcement[]>([]);
  useEffect(
    () =>
      client.on('transient', ({ event, payload }) => {
        if (event !== 'announcement') return;
        const announcement = payload as Announcement;
        if (announcement.groupId === groupId) setShown((before) => [...before, announcement].slice(-MAX_SHOWN));
      }),
    [client, groupId],
  );
  return (
    <section className="announcements" aria-label="Announcements" aria-live="polite">
      {shown.map(({ id, text, by }) => (
        <p key={id}>
          <strong>{by}</strong> <span className="text">{text}</span>
          <button type="button" aria-label="Close" onClick={() => setShown(shown.filter((one) => one.id !== id))}>
            ×
          </button>
        </p>
      ))}
    </section>
  );
}

export function Announce({ groupId }: { groupId: string }) {
  const [outcome, setOutcome] = useState('');

  async function announce(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const text = new FormData(form).get('text');
    if (typeof text !== 'string' || text.trim() === '') return;
    const response = await fetch('/api/announce', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ groupId, text }),
    }).catch(() => null);
    const answer = (await response?.json().catch(() => null)) as {
      recipients?: number;
      error?: { message: string };
    } | null;
    if (response?.ok) form.reset();
    setOutcome(
      response?.ok ? `reached ${answer?.recipients}` : (answer?.error?.message ?? 'the server did not answer'),
    );
  }

  return (
    <form className="announce" onSubmit={(event) => void announce(event)}>
      <input
        name="text"
        aria-label="Announcement"
        placeholder="Announce from the server"
        autoComplete="off"
        maxLength={500}
      />
      <button>Announce</button>
      <span role="status">{outcome}</span>
    </form>
  );
}
