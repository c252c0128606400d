import { displayName } from '../names.ts';
import { formatTime, type TimelineItem } from '../timeline.ts';
import { Avatar } from './avatar.tsx';

interface MessageBubbleProps {
  item: TimelineItem;
  own: boolean;
  /** Goes on what the message before began: no name, no avatar. */
  continued: boolean;
  /** The day to announce before this message. */
  day: string | null;
  onRetry: (clientMessageId: string) => void;
}

export function MessageBubble({ item, own, continued, day, onRetry }: MessageBubbleProps) {
  const name = displayName(item.senderId);
  const { clientMessageId } = item;
  return (
    <li className="message" data-own={own} data-continued={continued} data-status={item.status}>
      {day !== null && <p className="day">{day}</p>}
      {!own && !continued && <Avatar id={item.senderId} name={name} />}
      <div className="bubble">
        {!continued && <p className={own ? 'visually-hidden' : 'sender'}>{own ? 'You' : name}</p>}
        <p className="content">{item.content}</p>
        <p className="meta">
          {item.status === 'sending' && <span>Sending …</span>}
          {item.status !== 'sending' && <time dateTime={item.createdAt}>{formatTime(item.createdAt)}</time>}
        </p>
      </div>
      {item.status === 'failed' && clientMessageId !== undefined && (
        <Failure error={item.error ?? ''} onRetry={() => onRetry(clientMessageId)} />
      )}
    </li>
  );
}

function Failure({ error, onRetry }: { error: string; onRetry: () => void }) {
  return (
    <p className="failure" role="alert">
      Not sent: {error}{' '}
      <button className="button link" type="button" onClick={onRetry}>
        Try again
      </button>
    </p>
  );
}
