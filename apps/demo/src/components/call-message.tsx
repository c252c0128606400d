import type { ViewMessage } from '@groupcast/client';
import { outcomeText } from '../call-texts.ts';
import { displayName } from '../names.ts';
import { formatTime } from '../times.ts';
import { CallIcon } from './call-icon.tsx';

/** A call that did not come about, as a row between the messages. */
export function CallMessage({ message, senderId, own }: { message: ViewMessage; senderId: string; own: boolean }) {
  return (
    <p className="call-message small">
      <CallIcon name={message.custom?.['video'] === true ? 'camera' : 'phone'} />
      <span className="content" dir="auto">
        {outcomeText(message, { own, name: displayName(senderId) })}
      </span>{' '}
      <time dateTime={message.createdAt}>{formatTime(message.createdAt)}</time>
    </p>
  );
}
