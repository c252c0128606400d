import type { GroupSummary } from '@groupcast/client';
import { useState } from 'react';
import { groupName } from '../names.ts';
import { MembersDialog } from './members-dialog.tsx';

interface ConversationHeadProps {
  group: GroupSummary;
  /** How many members are online, oneself included; `undefined` while that is not known. */
  onlineCount: number | undefined;
  onBack: () => void;
}

export function ConversationHead({ group, onlineCount, onBack }: ConversationHeadProps) {
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
      <button className="button link muted small members" type="button" onClick={() => setShowsMembers(true)}>
        {onlineCount === undefined ? members : `${members}, ${onlineCount.toLocaleString()} online`}
      </button>
      {showsMembers && <MembersDialog groupId={group.id} onClose={() => setShowsMembers(false)} />}
    </header>
  );
}
