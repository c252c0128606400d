import type { GroupSummary, Message } from '@groupcast/client';
import { useGroups } from '@groupcast/client/react';
import { useRef } from 'react';
import { outcomeText } from '../call-texts.ts';
import { displayName, groupName } from '../names.ts';
import { formatWhen } from '../times.ts';
import { Avatar } from './avatar.tsx';
import { NotificationButton } from './notification-button.tsx';
import { SecondWindow } from './second-window.tsx';
import { useOneStop } from './use-one-stop.ts';

interface GroupListProps {
  openGroupId: string | null;
  me: string;
  onOpen: (groupId: string) => void;
  onNewGroup: () => void;
}

export function GroupList({ openGroupId, me, onOpen, onNewGroup }: GroupListProps) {
  const { data: groups, error, refetch } = useGroups();
  const list = useRef<HTMLUListElement>(null);
  const isCurrent = (row: HTMLElement) => row.getAttribute('aria-current') === 'true';
  const stop = useOneStop(list, '.group-row', (rows) => rows.find(isCurrent) ?? rows[0]);
  return (
    <aside className="sidebar">
      <div className="sidebar-head">
        <h2>Groups</h2>
        <NotificationButton />
        <button className="button quiet" type="button" onClick={onNewGroup}>
          New group
        </button>
      </div>
      <nav aria-label="Groups">
        <ul className="groups" ref={list} {...stop}>
          {groups?.map((group) => (
            <li key={group.id}>
              <GroupRow group={group} me={me} current={group.id === openGroupId} onOpen={() => onOpen(group.id)} />
            </li>
          ))}
        </ul>
        {groups?.length === 0 && <p className="muted pad">You are not in any group yet.</p>}
        {!groups && error && (
          <p className="error pad" role="alert">
            {error.message}{' '}
            <button className="button link" type="button" onClick={() => void refetch()}>
              Try again
            </button>
          </p>
        )}
      </nav>
      <SecondWindow me={me} />
    </aside>
  );
}

interface GroupRowProps {
  group: GroupSummary;
  me: string;
  current: boolean;
  onOpen: () => void;
}

function GroupRow({ group, me, current, onOpen }: GroupRowProps) {
  const name = groupName(group);
  const { lastMessage, unreadCount } = group;
  return (
    <button
      className="group-row"
      type="button"
      tabIndex={-1}
      aria-current={current ? 'true' : undefined}
      onClick={onOpen}
    >
      <Avatar id={group.id} name={name} />
      <span className="group-name" dir="auto">
        {name}
      </span>
      {lastMessage && (
        <time className="group-when" dateTime={lastMessage.createdAt}>
          {formatWhen(lastMessage.createdAt)}
        </time>
      )}
      <span className="group-preview" dir="auto">
        {lastMessage ? previewOf(lastMessage, me) : 'No messages yet'}
      </span>
      {unreadCount > 0 && (
        <span className="badge">
          {unreadCount > 99 ? '99+' : unreadCount}
          <span className="visually-hidden"> unread</span>
        </span>
      )}
    </button>
  );
}

function previewOf(message: Message, me: string): string {
  const own = message.senderId === me;
  const name = displayName(message.senderId);
  if (message.kind === 'call') return outcomeText(message, { own, name });
  return `${own ? 'You' : name}: ${message.content}`;
}
