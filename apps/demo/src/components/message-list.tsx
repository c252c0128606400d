import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { GroupState } from '../group-state.ts';
import { continues, formatDay, isSameDay, type TimelineItem } from '../timeline.ts';
import { MessageBubble } from './message-bubble.tsx';
import { SecondWindow } from './second-window.tsx';

interface MessageListProps {
  group: GroupState;
  items: TimelineItem[];
  me: string;
  onRetry: (clientMessageId: string) => void;
  onLoad: () => void;
}

export function MessageList({ group, items, me, onRetry, onLoad }: MessageListProps) {
  const { scroller, onScroll, toBottom, unseen } = useStickToBottom(items, me);
  const loading = group.history === 'loading' || group.history === 'unknown';
  const hasEarlier = group.hasEarlier || (group.history === 'failed' && items.length > 0);

  return (
    <div className="messages-frame">
      <div className="messages" role="log" aria-label="Messages" tabIndex={0} ref={scroller} onScroll={onScroll}>
        {hasEarlier && (
          <button className="button quiet earlier" type="button" onClick={onLoad} disabled={loading}>
            {loading ? 'Loading …' : 'Earlier messages'}
          </button>
        )}
        {items.length === 0 && <Empty history={group.history} me={me} onLoad={onLoad} />}
        <ol>
          {items.map((item, index) => {
            const previous = items[index - 1];
            return (
              <MessageBubble
                key={item.key}
                item={item}
                own={item.senderId === me}
                continued={continues(previous, item)}
                day={previous && isSameDay(previous, item) ? null : formatDay(item.createdAt)}
                onRetry={onRetry}
              />
            );
          })}
        </ol>
      </div>
      {unseen && (
        <button className="button to-bottom" type="button" onClick={toBottom}>
          New messages ↓
        </button>
      )}
    </div>
  );
}

function Empty({ history, me, onLoad }: { history: GroupState['history']; me: string; onLoad: () => void }) {
  if (history === 'failed') {
    return (
      <div className="empty">
        <p>The messages could not be loaded.</p>
        <button className="button quiet" type="button" onClick={onLoad}>
          Try again
        </button>
      </div>
    );
  }
  if (history !== 'loaded') return <p className="empty muted">Loading …</p>;
  return (
    <div className="empty">
      <p className="empty-title">No messages yet</p>
      <p className="muted">Write the first one. It appears on every member’s screen, once and in order.</p>
      <SecondWindow me={me} />
    </div>
  );
}

const NEAR_PX = 60;

/** Follows the newest message unless somebody scrolled up to read; then says that there is something new below. */
function useStickToBottom(items: TimelineItem[], me: string) {
  const scroller = useRef<HTMLDivElement>(null);
  const seen = useRef({ first: '', last: '', height: 0, atBottom: true });
  const [unseen, setUnseen] = useState(false);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const before = seen.current;
    const first = items[0]?.key ?? '';
    const last = items.at(-1);
    const isNew = last !== undefined && last.key !== before.last;
    const follow = before.atBottom || (isNew && last.senderId === me);
    if (follow) element.scrollTop = element.scrollHeight;
    else if (first !== before.first) element.scrollTop += element.scrollHeight - before.height;
    else if (isNew) setUnseen(true);
    seen.current = { first, last: last?.key ?? '', height: element.scrollHeight, atBottom: follow };
  }, [items, me]);

  // The composer grows, the window turns: the newest message stays in sight.
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => {
      if (seen.current.atBottom) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return {
    scroller,
    unseen,
    onScroll: () => {
      const element = scroller.current;
      if (!element) return;
      seen.current.atBottom = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
      if (seen.current.atBottom) setUnseen(false);
    },
    toBottom: () => {
      scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
    },
  };
}
