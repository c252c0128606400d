import type { PendingMessage, SentMessage, ViewMessage } from '@groupcast/client';
import { useGroupcast } from '@groupcast/client/react';
import { memo } from 'react';
import { displayName } from '../names.ts';
import { formatTime } from '../times.ts';
import { Avatar } from './avatar.tsx';
import { CallMessage } from './call-message.tsx';
import { MessageText } from './message-text.tsx';

interface MessageBubbleProps {
  message: ViewMessage;
  /** A user id. */
  senderId: string;
  own: boolean;
  /** The message before is of the same run: name and avatar are left out. */
  continued: boolean;
  /** The day to announce before this message. */
  day: string | null;
  /** The first message that the user had not read when the group was opened. */
  isFirstUnread: boolean;
  /** Its sender is known to be online. */
  online: boolean;
  /** Takes back a message whose content was refused. */
  onEdit: (message: PendingMessage) => void;
  /** Opens the menu of an own message beside its button. */
  onMenu: (message: SentMessage, button: HTMLElement) => void;
}

/** A message is the same object until something about it has changed, so the others are not drawn again. */
export const MessageBubble = memo(function MessageBubble({
  message,
  senderId,
  own,
  continued,
  day,
  isFirstUnread,
  online,
  onEdit,
  onMenu,
}: MessageBubbleProps) {
  const { status } = message;
  return (
    <li className="message" data-own={own} data-continued={continued} data-status={status}>
      {day !== null && <p className="day">{day}</p>}
      {isFirstUnread && <p className="unread-from">New messages</p>}
      {message.kind === 'call' ? (
        <CallMessage message={message} senderId={senderId} own={own} />
      ) : (
        <>
          {!own && !continued && <Avatar id={senderId} name={displayName(senderId)} online={online} />}
          <Bubble message={message} senderId={senderId} own={own} continued={continued} onMenu={onMenu} />
        </>
      )}
      {status === 'failed' && <Failure message={message} onEdit={onEdit} />}
    </li>
  );
});

type BubbleProps = Pick<MessageBubbleProps, 'message' | 'senderId' | 'own' | 'continued' | 'onMenu'>;

function Bubble({ message, senderId, own, continued, onMenu }: BubbleProps) {
  const { status } = message;
  const saved = message.status === 'sending' || message.status === 'failed' ? null : message;
  return (
    <div className="bubble" dir="auto">
      {!continued && (
        <p className={own ? 'visually-hidden' : 'sender'} dir="auto">
          {own ? 'You' : displayName(senderId)}
        </p>
      )}
      <MessageText content={message.content} />
      <p className="meta">
        {saved?.updatedAt !== undefined && <span dir="auto">edited </span>}
        {status === 'sending' ? (
          <span dir="auto">Sending …</span>
        ) : (
          <time dir="auto" dateTime={message.createdAt}>
            {formatTime(message.createdAt)}
          </time>
        )}
        {saved && own && <Tick status={saved.status} />}
        {saved && own && (
          <button
            className="message-menu"
            type="button"
            tabIndex={-1}
            aria-label="Message options"
            aria-haspopup="menu"
            onClick={(event) => onMenu(saved, event.currentTarget)}
          >
            <svg viewBox="0 0 16 16" aria-hidden="true">
              <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" />
            </svg>
          </button>
        )}
      </p>
    </div>
  );
}

const TICKS = { sent: 'Sent', delivered: 'Delivered', read: 'Read' } as const;

/** One tick for a message that is saved, two where every other member has received it, and two in colour where everyone has read it. */
function Tick({ status }: { status: SentMessage['status'] }) {
  return (
    <svg className="tick" data-status={status} viewBox="0 0 20 16" role="img" aria-label={TICKS[status]}>
      <path d="m3 8.6 3.4 3.4L13 4.8" />
      {status !== 'sent' && <path d="m10.4 12 6.6-7.2" />}
    </svg>
  );
}

/** Codes that refuse the content of a message: the same message would be refused again. */
const REFUSES_CONTENT: ReadonlySet<string | undefined> = new Set(['PAYLOAD_TOO_LARGE', 'INVALID_PAYLOAD']);

function Failure({ message, onEdit }: { message: PendingMessage; onEdit: (message: PendingMessage) => void }) {
  const client = useGroupcast();
  const { clientMessageId, error } = message;
  return (
    <p className="failure" role="alert">
      Not sent: {error?.message}{' '}
      {REFUSES_CONTENT.has(error?.code) ? (
        <button className="button link" type="button" onClick={() => onEdit(message)}>
          Edit
        </button>
      ) : (
        <button className="button link" type="button" onClick={() => client.retry(clientMessageId)}>
          Try again
        </button>
      )}
      <button className="button link" type="button" onClick={() => client.discard(clientMessageId)}>
        Discard
      </button>
    </p>
  );
}
