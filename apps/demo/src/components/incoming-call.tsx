import type { Call } from '@groupcast/client/call';
import { useEffect } from 'react';
import { notify } from '../browser-notifications.ts';
import { displayName } from '../names.ts';
import { Avatar } from './avatar.tsx';
import { CallIcon } from './call-icon.tsx';
import { Modal } from './modal.tsx';

interface IncomingCallProps {
  /** The caller's user id. */
  peer: string;
  video: boolean;
  call: Call;
}

/**
 * Somebody calls. The focus goes to the dialog itself, which a screen reader reads out, and to none of its buttons: a user who is writing
 * at that moment must not answer with the next key. Escape declines.
 */
export function IncomingCall({ peer, video, call }: IncomingCallProps) {
  const name = displayName(peer);
  const title = video ? `${name} calls with video` : `${name} calls`;
  useEffect(() => {
    notify(title, { body: 'Answer in the window of the chat.', tag: `call ${peer}`, onClick: () => undefined });
  }, [title, peer]);
  return (
    <Modal title={title} className="incoming" focus="dialog" onClose={call.decline}>
      <Avatar id={peer} name={name} />
      <div className="dialog-actions">
        <button className="button danger" type="button" onClick={call.decline}>
          Decline
        </button>
        <button className="button primary" type="button" onClick={call.accept}>
          <CallIcon name={video ? 'camera' : 'phone'} />
          Accept
        </button>
      </div>
    </Modal>
  );
}
