import type { GroupSummary } from '@groupcast/client';
import { useLastSeen, useMembers } from '@groupcast/client/react';
import { displayName } from '../names.ts';
import { formatLastSeen } from '../times.ts';
import { Avatar } from './avatar.tsx';
import { CallButtons } from './call-buttons.tsx';
import { Modal } from './modal.tsx';
import { useOnlineMembers } from './use-online-members.ts';

/** Most members whose last visit is asked for: as many as one request answers. */
const MAX_ASKED = 100;

/** Most members of a group in which one calls another from this list. */
const MAX_CALLABLE = 20;

interface MembersDialogProps {
  group: GroupSummary;
  /** A user id. */
  me: string;
  onClose: () => void;
}

/** The members of a group, each with whether they are online, or when they were last here, as far as that is known. */
export function MembersDialog({ group, me, onClose }: MembersDialogProps) {
  const { id: groupId, memberCount } = group;
  const { data: members, isError } = useMembers(groupId);
  const online = useOnlineMembers(groupId);
  const away = (members ?? []).map(({ userId }) => userId).filter((userId) => online?.has(userId) === false);
  const { data: lastSeen } = useLastSeen(away.slice(0, MAX_ASKED));

  const stateOf = (userId: string): string => {
    const seenAt = lastSeen?.get(userId);
    if (!online) return '';
    if (online.has(userId)) return 'online';
    return seenAt === undefined ? 'offline' : formatLastSeen(seenAt);
  };
  return (
    <Modal title="Members" onClose={onClose}>
      {!members && <p className="muted">{isError ? 'The members could not be loaded.' : 'Loading …'}</p>}
      <ul className="people">
        {members?.map(({ userId }) => (
          <li key={userId}>
            <Avatar id={userId} name={displayName(userId)} online={online?.has(userId) === true} />
            <span dir="auto">{displayName(userId)}</span>
            <span className="muted small">{stateOf(userId)}</span>
            {userId !== me && memberCount <= MAX_CALLABLE && (
              <CallButtons groupId={groupId} peer={userId} onStart={onClose} />
            )}
          </li>
        ))}
      </ul>
      <div className="dialog-actions">
        <button className="button quiet" type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Modal>
  );
}
