import type { GroupId } from '../api/api.ts';
import type { GroupcastClient } from '../types.ts';

/** A browser's `document`, as far as it says whether somebody can see it. */
export interface Page extends Pick<EventTarget, 'addEventListener' | 'removeEventListener'> {
  readonly visibilityState: DocumentVisibilityState;
}

/**
 * Marks the group as read now, whenever the page becomes visible, and with each event that arrives, until the returned function is called. A list may
 * count a message before it has arrived: it is read when it is there.
 */
export function keepRead(
  client: Pick<GroupcastClient, 'markRead' | 'group'>,
  groupId: GroupId,
  page: Page,
): () => void {
  const mark = (): void => {
    if (page.visibilityState === 'visible') client.markRead(groupId);
  };
  mark();
  page.addEventListener('visibilitychange', mark);
  const stopListening = client.group(groupId).onEvent(mark);
  return () => {
    page.removeEventListener('visibilitychange', mark);
    stopListening();
  };
}
