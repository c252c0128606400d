import type { GroupSummary } from '@groupcast/shared';
import { byActivity, type GroupState } from '../group-state.ts';
import { displayName } from '../names.ts';
import { formatWhen } from '../timeline.ts';
import { Avatar } from './avatar.tsx';
import { SecondWindow } from './second-window.tsx';

interface GroupListProps {
  groups: ReadonlyMap<string, GroupState> | null;
  openGroupId: string | null;
  me: string;
  onOpen: (groupId: string) => void;
  onNewGroup: () => void;
}

export function GroupList({ groups, openGroupId, me, onOpen, onNewGroup }: GroupListProps) {
  return (
    <aside className="sidebar">
      <div className="sidebar-head">
        <h2>Groups</h2>
        <button className="button quiet" type="button" onClick={onNewGroup}>
          New group
        </button>
      </div>
      <nav aria-label="Groups">
        <ul className="groups">
          {byActivity(groups ?? new Map()).map(({ summary }) => (
            <li key={summary.id}>
              <GroupRow
                group={summary}
                me={me}
                current={summary.id === openGroupId}
                onOpen={() => onOpen(summary.id)}
              />
            </li>
          ))}
        </ul>
        {groups?.size === 0 && <p className="muted pad">You are not in any group yet.</p>}
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
    <button className="group-row" type="button" aria-current={current ? 'true' : undefined} onClick={onOpen}>
      <Avatar id={group.id} name={name} />
      <span className="group-name">{name}</span>
      {lastMessage && (
        <time className="group-when" dateTime={lastMessage.createdAt}>
          {formatWhen(lastMessage.createdAt)}
        </time>
      )}
      <span className="group-preview">
        {lastMessage ? `${speaker(lastMessage.senderId, me)}: ${lastMessage.content}` : 'No messages yet'}
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

export function groupName(group: GroupSummary): string {
  return group.name ?? (group.kind === 'direct' ? 'Direct messages' : 'Unnamed group');
}

function speaker(senderId: string, me: string): string {
  return senderId === me ? 'You' : displayName(senderId);
}
