import type { PendingMessage, ViewMessage } from '@groupcast/client';
import { useGroupcast } from '@groupcast/client/react';
import { memo } from 'react';
import { displayName } from '../names.ts';
import { formatTime } from '../times.ts';
import { Avatar } from './avatar.tsx';

interface MessageBubbleProps {
  message: ViewMessage;
  /** A user id. */
  senderId: string;
  own: boolean;
  /** Goes on what the message before began: no name, no avatar. */
  continued: boolean;
  /** The day to announce before this message. */
  day: string | null;
}

/** A message is the same object until something about it has changed, so the others are not drawn again. */
export const MessageBubble = memo(function MessageBubble({
  message,
  senderId,
  own,
  continued,
  day,
}: MessageBubbleProps) {
  const name = displayName(senderId);
  const { status } = message;
  return (
    <li className="message" data-own={own} data-continued={continued} data-status={status}>
      {day !== null && <p className="day">{day}</p>}
      {!own && !continued && <Avatar id={senderId} name={name} />}
      <div className="bubble">
        {!continued && <p className={own ? 'visually-hidden' : 'sender'}>{own ? 'You' : name}</p>}
        <p className="content">{message.content}</p>
        <p className="meta">
          {status === 'sent' && message.updatedAt !== undefined && <span>edited </span>}
          {status === 'sending' ? (
            <span>Sending …</span>
          ) : (
            <time dateTime={message.createdAt}>{formatTime(message.createdAt)}</time>
          )}
          {status === 'sent' && own && <Tick />}
        </p>
      </div>
      {status === 'failed' && <Failure message={message} />}
    </li>
  );
});

function Tick() {
  return (
    <svg className="tick" viewBox="0 0 16 16" role="img" aria-label="Sent">
      <path d="m3 8.6 3.4 3.4L13 4.8" />
    </svg>
  );
}

function Failure({ message: { clientMessageId, error } }: { message: PendingMessage }) {
  const client = useGroupcast();
  return (
    <p className="failure" role="alert">
      Not sent: {error?.message}{' '}
      <button className="button link" type="button" onClick={() => client.retry(clientMessageId)}>
        Try again
      </button>
      <button className="button link" type="button" onClick={() => client.discard(clientMessageId)}>
        Discard
      </button>
    </p>
  );
}
