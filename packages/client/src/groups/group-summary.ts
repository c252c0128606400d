import type { GroupEvent, GroupSummary } from '@groupcast/shared';
import { parseMessage } from '../base/parse.ts';

/**
 * What an event changes of a group in the list; the same object when that is nothing. Positions and unread counts are not its
 * business.
 */
export function withEvent(group: GroupSummary, event: GroupEvent): GroupSummary {
  switch (event.event) {
    case 'new-message':
      return event['deleted'] === true ? group : { ...group, lastMessage: parseMessage(event) ?? group.lastMessage };
    case 'message-updated': {
      const { lastMessage } = group;
      const content = event['content'];
      if (lastMessage?.id !== event['messageId'] || typeof content !== 'string' || !lastMessage) return group;
      return event['deleted'] === true ? group : { ...group, lastMessage: { ...lastMessage, content } };
    }
    case 'message-deleted':
      return group.lastMessage?.id === event['messageId'] ? { ...group, lastMessage: null } : group;
    case 'group-updated':
      return typeof event['name'] === 'string' ? { ...group, name: event['name'] } : group;
    case 'member-added':
      return { ...group, memberCount: group.memberCount + countOf(event['userIds']) };
    case 'member-removed':
      return { ...group, memberCount: Math.max(0, group.memberCount - countOf(event['userIds'])) };
    default:
      return group;
  }
}

/**
 * How an event changes the unread messages of a group that was read up to `group.readSeq`. Sending moves one's own read cursor,
 * in whichever window it happened.
 */
export function withUnread(group: GroupSummary, event: GroupEvent, me: string | undefined): GroupSummary {
  const { readSeq, unreadCount } = group;
  const isOwn = event['senderId'] === me;
  if (event.event === 'new-message' && event['deleted'] !== true) {
    if (isOwn) return { ...group, unreadCount: 0, readSeq: Math.max(readSeq, event.seq) };
    return event.seq > readSeq ? { ...group, unreadCount: unreadCount + 1 } : group;
  }
  const { messageSeq } = event;
  const wasUnread =
    event.event === 'message-deleted' && !isOwn && typeof messageSeq === 'number' && messageSeq > readSeq;
  return wasUnread ? { ...group, unreadCount: Math.max(0, unreadCount - 1) } : group;
}

function countOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}
