import { useCall } from '@groupcast/client/react';
import { isCallActive } from '../call-texts.ts';
import { displayName } from '../names.ts';
import { useCalls } from './call-context.ts';
import { CallIcon } from './call-icon.tsx';

interface CallButtonsProps {
  groupId: string;
  /** A user id. */
  peer: string;
  onStart?: () => void;
}

/** Calls one other member of a group. There is one call at a time. */
export function CallButtons({ groupId, peer, onStart }: CallButtonsProps) {
  const call = useCalls();
  const isBusy = isCallActive(useCall(call));
  const name = displayName(peer);
  const button = (label: string, video: boolean) => (
    <button
      className="button quiet icon"
      type="button"
      aria-label={label}
      title={label}
      disabled={isBusy}
      onClick={() => {
        onStart?.();
        call.start({ groupId, userId: peer, video });
      }}
    >
      <CallIcon name={video ? 'camera' : 'phone'} />
    </button>
  );
  return (
    <span className="call-buttons">
      {button(`Call ${name}`, false)}
      {button(`Video call with ${name}`, true)}
    </span>
  );
}
