import type { GroupSummary } from '@groupcast/client';
import { useMembers } from '@groupcast/client/react';
import { useState } from 'react';
import { groupName } from '../names.ts';
import { CallButtons } from './call-buttons.tsx';
import { MembersDialog } from './members-dialog.tsx';

/** The members of a group of two. */
const PAIR = 2;

interface ConversationHeadProps {
  group: GroupSummary;
  /** A user id. */
  me: string;
  /** How many members are online, oneself included; `undefined` while that is not known. */
  onlineCount: number | undefined;
  onBack: () => void;
}

export function ConversationHead({ group, me, onlineCount, onBack }: ConversationHeadProps) {
  const [showsMembers, setShowsMembers] = useState(false);
  const members = group.memberCount === 1 ? '1 member' : `${group.memberCount.toLocaleString()} members`;
  return (
    <header className="conversation-head">
      <button className="button quiet icon back" type="button" onClick={onBack} aria-label="Back to the groups">
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M12.5 4.5 7 10l5.5 5.5" />
        </svg>
      </button>
      <h1 dir="auto">{groupName(group)}</h1>
      {group.memberCount === PAIR && <CallOther groupId={group.id} me={me} />}
      <button className="button link muted small members" type="button" onClick={() => setShowsMembers(true)}>
        {onlineCount === undefined ? members : `${members}, ${onlineCount.toLocaleString()} online`}
      </button>
      {showsMembers && <MembersDialog group={group} me={me} onClose={() => setShowsMembers(false)} />}
    </header>
  );
}

function CallOther({ groupId, me }: { groupId: string; me: string }) {
  const { data: members } = useMembers(groupId);
  const other = members?.find(({ userId }) => userId !== me);
  return other && <CallButtons groupId={groupId} peer={other.userId} />;
}
