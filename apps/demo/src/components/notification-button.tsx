import { useGroupcast, useNotifications } from '@groupcast/client/react';
import { notify, switchNotifications, useNotificationState } from '../browser-notifications.ts';
import { displayName, groupName } from '../names.ts';
import { openGroup } from '../open-group.ts';

/** Switches the browser's notifications on and off, and shows one for each message in a group that is not on screen. */
export function NotificationButton() {
  const client = useGroupcast();
  const state = useNotificationState();
  useNotifications(({ groupId, message }) => {
    const group = client.group(groupId).getSnapshot();
    const speaker = displayName(message.senderId);
    notify(group ? `${speaker} in ${groupName(group)}` : speaker, {
      body: message.content,
      tag: groupId,
      onClick: () => openGroup(groupId),
    });
  });
  if (state === 'unsupported') return null;
  const isOn = state === 'on';
  return (
    <button
      className="button quiet icon"
      type="button"
      aria-label={isOn ? 'Turn off notifications' : 'Turn on notifications'}
      title={state === 'denied' ? 'Your browser does not allow notifications of this page.' : undefined}
      disabled={state === 'denied'}
      onClick={() => void switchNotifications(!isOn)}
    >
      <svg viewBox="0 0 20 20" aria-hidden="true">
        <path d="M10 3a4.5 4.5 0 0 0-4.5 4.5c0 4-1.5 5-1.5 6h12c0-1-1.5-2-1.5-6A4.5 4.5 0 0 0 10 3ZM8.3 16.3a1.8 1.8 0 0 0 3.4 0" />
        {!isOn && <path d="m3.5 3.5 13 13" />}
      </svg>
    </button>
  );
}
