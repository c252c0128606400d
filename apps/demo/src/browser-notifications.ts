import { useSyncExternalStore } from 'react';

/** `unsupported` by the browser, `denied` by its user, or `off` and `on`. */
export type NotificationState = 'unsupported' | 'denied' | 'off' | 'on';

const KEY = 'groupcast-demo-notifications';
const listeners = new Set<() => void>();

/** Whether the browser shows notifications of this page; it is on once the user has asked for it and has allowed it. */
export function notificationState(): NotificationState {
  if (typeof Notification === 'undefined') return 'unsupported';
  if (Notification.permission === 'denied') return 'denied';
  return Notification.permission === 'granted' && localStorage.getItem(KEY) === 'on' ? 'on' : 'off';
}

/** Asks the user, where that is still open. Browsers show the question only after a click. */
export async function switchNotifications(on: boolean): Promise<void> {
  if (on && Notification.permission === 'default') await Notification.requestPermission();
  localStorage.setItem(KEY, on ? 'on' : 'off');
  for (const listener of listeners) listener();
}

export function useNotificationState(): NotificationState {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, notificationState);
}

/** Shows a notification, unless the page is in front of the user already. */
export function notify(
  title: string,
  { body, tag, onClick }: { body: string; tag: string; onClick: () => void },
): void {
  if (notificationState() !== 'on' || document.hasFocus()) return;
  try {
    const notification = new Notification(title, { body, tag });
    notification.addEventListener('click', () => {
      window.focus();
      notification.close();
      onClick();
    });
  } catch {
    // Browsers of phones show only those of a service worker.
  }
}
