'use client';
import type { GroupSummary, ViewMessage } from '@groupcast/client';
import {
  useGroupcast,
  useMarkRead,
  useMessages,
  useSendMessage,
  useTyping,
  useViewGroup,
} from '@groupcast/client/react';
import { useEffect, useRef, useState } from 'react';
import type { Person } from '../server/people';
import { Announce, Announcements } from './announcements';

const TICKS = { sending: '…', failed: '!', sent: '✓', delivered: '✓✓', read: '✓✓' };

export function Conversation({ group, me }: { group: GroupSummary; me: Person }) {
  const { data, hasNextPage, fetchNextPage } = useMessages(group.id);
  const end = useRef<HTMLDivElement>(null);
  useViewGroup(group.id);
  useMarkRead(group.id, true);
  const messages = data?.messages ?? [];
  const newest = messages.at(-1)?.key;
  useEffect(() => {
    if (newest) end.current?.scrollIntoView({ block: 'end' });
  }, [newest]);
  return (
    <main>
      <h1>{group.name}</h1>
      <Announcements groupId={group.id} />
      <div className="log" role="log" aria-label="Messages">
        <ol>
          {hasNextPage && (
            <li className="earlier">
              <button type="button" onClick={() => void fetchNextPage()}>
                Earlier messages
              </button>
            </li>
          )}
          {messages.map((message) => (
            <Row key={message.key} message={message} me={me} />
          ))}
        </ol>
        <div ref={end} />
      </div>
      <Composer groupId={group.id} />
      {me.isStaff && <Announce groupId={group.id} />}
    </main>
  );
}

function Row({ message, me }: { message: ViewMessage; me: Person }) {
  const client = useGroupcast();
  // A message that is not saved yet is this page's own.
  const from = 'seq' in message && message.senderId !== me.id ? (message.sender?.name ?? message.senderId) : null;
  return (
    <li className={from === null ? 'own' : undefined} data-status={message.status}>
      {from !== null && <span className="by">{from}</span>}
      <span className="content">{message.content}</span>
      {from === null && (
        <span className="tick" title={message.status}>
          {TICKS[message.status]}
        </span>
      )}
      {message.status === 'failed' && (
        <span role="alert">
          {message.error.message}{' '}
          <button type="button" onClick={() => client.retry(message.clientMessageId)}>
            Try again
          </button>
        </span>
      )}
    </li>
  );
}

function Composer({ groupId }: { groupId: string }) {
  const [text, setText] = useState('');
  const { mutate: send } = useSendMessage(groupId);
  const { typists, onInput, stop } = useTyping(groupId);
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === '') return;
        send(text.trim());
        setText('');
      }}
    >
      <p className="typing" aria-live="polite">
        {typists.length > 0 && `${typists.join(', ')} …`}
      </p>
      <input
        aria-label="Message"
        placeholder="Write a message"
        autoComplete="off"
        value={text}
        onChange={({ target }) => {
          setText(target.value);
          if (target.value === '') stop();
          else onInput();
        }}
      />
      <button>Send</button>
    </form>
  );
}
