import type { GroupEvent, GroupSummary } from '@groupcast/shared';
import { parseMessage } from './parse.ts';

/** What an event changes of a group in the list; the same object when that is nothing. Positions are not its business. */
export function withEvent(group: GroupSummary, event: GroupEvent, me: string | undefined): GroupSummary {
  switch (event.event) {
    case 'new-message':
      return event['deleted'] === true ? group : withMessage(group, event, me);
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

/** Sending moves one's own read cursor, in whichever window it happened. */
function withMessage(group: GroupSummary, event: GroupEvent, me: string | undefined): GroupSummary {
  const unreadCount = event['senderId'] === me ? 0 : group.unreadCount + 1;
  return { ...group, unreadCount, lastMessage: parseMessage(event) ?? group.lastMessage };
}

function countOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}

/** Where something happened last comes first. */
export function byActivity(groups: Iterable<GroupSummary>): GroupSummary[] {
  const activity = ({ lastMessage, createdAt }: GroupSummary): string => lastMessage?.createdAt ?? createdAt;
  return [...groups].toSorted((a, b) => (activity(a) < activity(b) ? 1 : activity(a) > activity(b) ? -1 : 0));
}
