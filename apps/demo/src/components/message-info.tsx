import type { SentMessage } from '@groupcast/client';
import { useReceipts } from '@groupcast/client/react';
import { displayName } from '../names.ts';
import { Avatar } from './avatar.tsx';
import { Modal } from './modal.tsx';

interface MessageInfoProps {
  groupId: string;
  message: SentMessage;
  onClose: () => void;
}

/** The members who have read an own message, those who have received it, and the command that says where it is. */
export function MessageInfo({ groupId, message, onClose }: MessageInfoProps) {
  const { status, counts, memberCount = 1, users, readBy, receivedBy } = useReceipts(groupId);
  const readers = readBy(message);
  const receivers = receivedBy(message).filter((userId) => !readers.includes(userId));
  const others = memberCount - 1;
  return (
    <Modal title="Read by" onClose={onClose}>
      {status === 'loading' && <p className="muted">Loading …</p>}
      {status === 'failed' && <p className="error">It is not known at the moment.</p>}
      {users && (
        <>
          <People title="Read" userIds={readers} />
          <People title="Delivered" userIds={receivers} />
          {readers.length + receivers.length === 0 && <p className="muted">Nobody has received it yet.</p>}
        </>
      )}
      {!users && counts && (
        <p>
          {message.seq === counts.seq
            ? `Read by ${counts.read.toLocaleString()} and received by ${counts.received.toLocaleString()} of ${others.toLocaleString()}.`
            : 'In a group this large, only your newest message is counted.'}
        </p>
      )}
      <p className="message-id muted">
        Where is it? <code>npx groupcast trace {message.id}</code>
      </p>
      <div className="dialog-actions">
        <button className="button quiet" type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Modal>
  );
}

function People({ title, userIds }: { title: string; userIds: readonly string[] }) {
  if (userIds.length === 0) return null;
  return (
    <section aria-label={title}>
      <h3 className="small muted">{title}</h3>
      <ul className="people">
        {userIds.map((userId) => (
          <li key={userId}>
            <Avatar id={userId} name={displayName(userId)} />
            <span dir="auto">{displayName(userId)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
