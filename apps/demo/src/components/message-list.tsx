import type { PendingMessage, SentMessage, ViewMessage } from '@groupcast/client';
import type { useMessages } from '@groupcast/client/react';
import { formatDay, isSameDay } from '../times.ts';
import { MessageBubble } from './message-bubble.tsx';
import { SecondWindow } from './second-window.tsx';
import { useOneStop } from './use-one-stop.ts';
import { useScroll } from './use-scroll.ts';

type Messages = ReturnType<typeof useMessages>;

interface MessageListProps {
  messages: Messages;
  me: string;
  /** Messages above this `seq` were unread when the group was opened; `null`: everything was read. */
  readUpTo: number | null;
  /** Called with whether the newest message is in sight. */
  onAtEnd: (isAtEnd: boolean) => void;
  /** User ids of the members who are online; `undefined` while that is not known. */
  online: ReadonlySet<string> | undefined;
  onEdit: (message: PendingMessage) => void;
  onMenu: (message: SentMessage, button: HTMLElement) => void;
}

export function MessageList({ messages, me, readUpTo, onAtEnd, online, onEdit, onMenu }: MessageListProps) {
  const { data, hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = messages;
  const rows = data?.messages ?? NONE;
  const loadEarlier = () => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  };
  const { scroller, onScroll, toEnd, unseen } = useScroll({
    rows,
    onAtEnd,
    // After a failure a person decides when to try again.
    onNearStart: () => !isFetchNextPageError && loadEarlier(),
  });

  const stop = useOneStop(scroller, '.content a, .message-menu', (items) => items.at(-1));
  /** Whether reading goes on with this message. It is not known where the messages above the oldest page were read up to. */
  const isFirstUnread = (message: ViewMessage, previous: ViewMessage | undefined): boolean =>
    readUpTo !== null && isAbove(message, readUpTo) && (previous ? !isAbove(previous, readUpTo) : !hasNextPage);

  return (
    <div className="messages-frame">
      <div
        className="messages"
        role="log"
        aria-label="Messages"
        aria-busy={isFetchingNextPage}
        tabIndex={0}
        ref={scroller}
        onScroll={onScroll}
        {...stop}
      >
        {hasNextPage && (
          <button className="button quiet earlier" type="button" onClick={loadEarlier} disabled={isFetchingNextPage}>
            {isFetchingNextPage
              ? 'Loading …'
              : isFetchNextPageError
                ? 'Earlier messages: try again'
                : 'Earlier messages'}
          </button>
        )}
        {rows.length === 0 && <Empty messages={messages} me={me} />}
        <ol>
          {rows.map((message, index) => {
            const previous = rows[index - 1];
            const senderId = senderOf(message, me);
            const isNewDay = !previous || !isSameDay(previous.createdAt, message.createdAt);
            const isUnreadHere = isFirstUnread(message, previous);
            const isRun =
              !isNewDay &&
              !isUnreadHere &&
              previous.kind !== 'call' &&
              senderOf(previous, me) === senderId &&
              isSoonAfter(previous, message);
            return (
              <MessageBubble
                key={message.key}
                message={message}
                senderId={senderId}
                own={senderId === me}
                continued={isRun}
                day={isNewDay ? formatDay(message.createdAt) : null}
                isFirstUnread={isUnreadHere}
                online={online?.has(senderId) === true}
                onEdit={onEdit}
                onMenu={onMenu}
              />
            );
          })}
        </ol>
      </div>
      {unseen > 0 && (
        <button className="button to-end" type="button" onClick={toEnd}>
          {unseen === 1 ? '1 new message' : `${unseen} new messages`} ↓
        </button>
      )}
    </div>
  );
}

const NONE: readonly ViewMessage[] = [];
/** Longest time between two messages of one run, in milliseconds. */
const RUN_MS = 5 * 60_000;

function senderOf(message: ViewMessage, me: string): string {
  return 'senderId' in message ? message.senderId : me;
}

function isAbove(message: ViewMessage, seq: number): boolean {
  return 'seq' in message && message.seq > seq;
}

function isSoonAfter(previous: ViewMessage, message: ViewMessage): boolean {
  return Date.parse(message.createdAt) - Date.parse(previous.createdAt) < RUN_MS;
}

function Empty({ messages, me }: { messages: Messages; me: string }) {
  if (messages.isPending) return <p className="empty muted">Loading …</p>;
  if (messages.isError) {
    return (
      <div className="empty">
        <p>The messages could not be loaded: {messages.error.message}</p>
        <button className="button quiet" type="button" onClick={() => void messages.refetch()}>
          Try again
        </button>
      </div>
    );
  }
  return (
    <div className="empty">
      <p className="empty-title">No messages yet</p>
      <p className="muted">Write the first one. It appears on every member’s screen, once and in order.</p>
      <SecondWindow me={me} />
    </div>
  );
}
