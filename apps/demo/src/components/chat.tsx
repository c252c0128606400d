import { useCall, useGroups, useUnread } from '@groupcast/client/react';
import { useEffect, useState } from 'react';
import { useMedia } from '../media.ts';
import { displayName } from '../names.ts';
import { openGroup, openGroupFirst, useOpenGroup } from '../open-group.ts';
import { AppHeader } from './app-header.tsx';
import { useCalls } from './call-context.ts';
import { CallLayer } from './call-layer.tsx';
import { ConnectionBanner } from './connection-banner.tsx';
import { Conversation } from './conversation.tsx';
import { GroupList } from './group-list.tsx';
import { NewGroupDialog } from './new-group-dialog.tsx';

interface ChatProps {
  /** A user id. */
  me: string;
  onLogOut: () => void;
}

export function Chat({ me, onLogOut }: ChatProps) {
  const { data: groups, error } = useGroups();
  const [creating, setCreating] = useState(false);
  // A draft stays with its group.
  const [drafts] = useState(() => new Map<string, string>());
  const chosen = useOpenGroup();
  const isWide = useMedia('(width > 44rem)');
  useTitle(me);

  // On a wide screen a conversation is open from the start; it stays open while other groups become more recent.
  useEffect(() => {
    const newest = groups?.[0];
    if (isWide && newest && !groups.some(({ id }) => id === chosen)) openGroupFirst(newest.id);
  }, [groups, chosen, isWide]);

  const open = groups?.find(({ id }) => id === chosen);
  const placeholder = error && !groups ? 'Your groups could not be loaded.' : 'Loading your groups …';
  return (
    <div className="chat" data-view={open ? 'conversation' : 'groups'}>
      {open && <SkipToComposer />}
      <AppHeader me={me} onLogOut={onLogOut} />
      <ConnectionBanner />
      <CallLayer />
      <GroupList openGroupId={open?.id ?? null} me={me} onOpen={openGroup} onNewGroup={() => setCreating(true)} />
      {open ? (
        <Conversation key={open.id} group={open} me={me} drafts={drafts} onBack={() => openGroup(null)} />
      ) : (
        <main className="conversation placeholder">
          <p className="muted">{groups ? 'Choose a group to read it.' : placeholder}</p>
        </main>
      )}
      {creating && <NewGroupDialog onCreated={openGroup} onClose={() => setCreating(false)} />}
    </div>
  );
}

/** Lets keyboard users skip the groups and the messages. It is in sight while it has the focus. */
function SkipToComposer() {
  const onClick = () => document.querySelector<HTMLElement>('.composer textarea')?.focus();
  return (
    <button className="button primary skip" type="button" onClick={onClick}>
      Skip to the message field
    </button>
  );
}

function useTitle(me: string): void {
  const unread = useUnread();
  const { state, peer } = useCall(useCalls());
  const caller = state === 'ringing' ? displayName(peer ?? '') : undefined;
  useEffect(() => {
    const count = unread > 0 ? `(${unread}) ` : '';
    document.title =
      caller === undefined ? `${count}${displayName(me)} · Groupcast demo` : `${caller} calls · Groupcast`;
  }, [unread, me, caller]);
}
