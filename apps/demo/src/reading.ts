import type { Api } from './api.ts';
import type { ChatStore } from './chat-state.ts';
import { coalesce } from './coalesce.ts';
import { asRead, withMessages } from './group-state.ts';

const PAGE = 50;

export interface ReadingDeps {
  store: ChatStore;
  api: Api;
  /** Is somebody looking? Only then what arrives counts as read. */
  isVisible: () => boolean;
}

/** The group on screen: its history, and how far it has been read. */
export function createReading({ store, api, isVisible }: ReadingDeps) {
  const marks = new Map<string, () => Promise<void>>();

  function open(groupId: string | null): void {
    store.patch({ openGroupId: groupId });
    if (groupId === null) return;
    if (store.group(groupId)?.history === 'unknown') void loadHistory(groupId);
    markRead(groupId);
  }

  /** The newest messages, or those before the ones already there. */
  async function loadHistory(groupId: string): Promise<void> {
    const group = store.group(groupId);
    if (!group || group.history === 'loading') return;
    const before = group.history === 'loaded' ? group.messages[0]?.seq : undefined;
    store.changeGroup(groupId, (current) => ({ ...current, history: 'loading' }));
    try {
      const { messages } = await api.messages(groupId, PAGE, before);
      store.changeGroup(groupId, (current) => ({
        ...withMessages(current, messages),
        history: 'loaded',
        hasEarlier: messages.length === PAGE,
      }));
    } catch (error) {
      store.changeGroup(groupId, (current) => ({ ...current, history: before === undefined ? 'failed' : 'loaded' }));
      store.report(error);
    }
  }

  /** Does nothing unless the group is on screen and has something unread. */
  function markRead(groupId: string): void {
    const seen = groupId === store.get().openGroupId && isVisible();
    if (!seen || !store.group(groupId)?.summary.unreadCount) return;
    store.changeGroup(groupId, asRead);
    const mark = marks.get(groupId) ?? coalesce(() => sendMark(groupId));
    marks.set(groupId, mark);
    void mark();
  }

  /** A mark that gets lost is made good by the next one: read cursors are cumulative. */
  async function sendMark(groupId: string): Promise<void> {
    const seq = store.group(groupId)?.position.seq;
    if (seq) await api.markRead(groupId, seq).catch(store.report);
  }

  return { open, loadHistory, markRead };
}
