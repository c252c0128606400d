import { useEffect, useState, useSyncExternalStore } from 'react';
import type { ChatSession } from '../chat-session.ts';
import { displayName } from '../names.ts';
import { timelineOf } from '../timeline.ts';
import { AppHeader } from './app-header.tsx';
import { Conversation } from './conversation.tsx';
import { GroupList } from './group-list.tsx';
import { NewGroupDialog } from './new-group-dialog.tsx';
import { Notice } from './notice.tsx';

interface ChatProps {
  session: ChatSession;
  onLogOut: () => void;
}

export function Chat({ session, onLogOut }: ChatProps) {
  const state = useSyncExternalStore(session.subscribe, session.getState);
  const [creating, setCreating] = useState(false);
  const { me } = session;
  const open = state.openGroupId === null ? undefined : state.groups?.get(state.openGroupId);
  const unread = [...(state.groups?.values() ?? [])].reduce((sum, group) => sum + group.summary.unreadCount, 0);

  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${displayName(me.id)} · Groupcast demo`;
  }, [unread, me.id]);

  return (
    <div className="chat" data-view={open ? 'conversation' : 'groups'}>
      <AppHeader me={me} connection={state.connection} onReconnect={session.reconnect} onLogOut={onLogOut} />
      {state.notice !== null && <Notice text={state.notice} onDismiss={session.dismissNotice} />}
      <GroupList
        groups={state.groups}
        openGroupId={state.openGroupId}
        me={me.id}
        onOpen={session.openGroup}
        onNewGroup={() => setCreating(true)}
      />
      {open ? (
        <Conversation
          key={open.summary.id}
          group={open}
          items={timelineOf(open, state.outgoing, me.id)}
          me={me.id}
          onBack={() => session.openGroup(null)}
          onSend={(content) => session.send(open.summary.id, content)}
          onRetry={session.retrySend}
          onLoad={() => void session.loadHistory(open.summary.id)}
        />
      ) : (
        <main className="conversation placeholder">
          <p className="muted">{state.groups === null ? 'Loading your groups …' : 'Choose a group to read it.'}</p>
        </main>
      )}
      {creating && <NewGroupDialog onCreate={session.createGroup} onClose={() => setCreating(false)} />}
    </div>
  );
}
