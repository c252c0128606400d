import type { GroupEvent, GroupSummary, JsonObject } from '@groupcast/shared';
import { fieldsOf, isSeq, parseEdited, parseMessage } from '../base/parse.ts';

/**
 * The group in the list after an event; the same object where the event changes nothing of it. Positions and unread counts are kept
 * elsewhere.
 */
export function withEvent(group: GroupSummary, event: GroupEvent): GroupSummary {
  switch (event.event) {
    case 'new-message':
      return event['deleted'] === true ? group : { ...group, lastMessage: parseMessage(event) ?? group.lastMessage };
    case 'message-updated': {
      const { lastMessage } = group;
      if (!lastMessage || lastMessage.id !== event['messageId'] || event['deleted'] === true) return group;
      return { ...group, lastMessage: parseEdited(lastMessage, event) ?? lastMessage };
    }
    case 'message-deleted':
      return group.lastMessage?.id === event['messageId'] ? { ...group, lastMessage: null } : group;
    case 'group-updated':
      return withSettings(group, event);
    case 'member-added':
      return { ...group, memberCount: group.memberCount + countOf(event['userIds']) };
    case 'member-removed':
      return { ...group, memberCount: Math.max(0, group.memberCount - countOf(event['userIds'])) };
    default:
      return group;
  }
}

/**
 * An event has the settings that were given, and the name always; `retentionDays: null` takes the group's own setting away, and
 * `custom: null` the application's fields.
 */
function withSettings(group: GroupSummary, event: GroupEvent): GroupSummary {
  const { name, retentionDays, custom } = event;
  const changed = typeof name === 'string' ? { ...group, name } : { ...group };
  if (isSeq(retentionDays, 1)) changed.retentionDays = retentionDays;
  else if (retentionDays === null) delete changed.retentionDays;
  if (fieldsOf(custom)) changed.custom = custom as JsonObject;
  else if (custom === null) delete changed.custom;
  return changed;
}

/**
 * The group with its count of unread messages after an event; it was read up to `group.readSeq`. Sending a message moves the user's
 * own read cursor, in every window. A message that comes without its content, because it was deleted meanwhile, counts until the
 * `message-deleted` behind it takes it off.
 */
export function withUnread(group: GroupSummary, event: GroupEvent, me: string | undefined): GroupSummary {
  const { readSeq, unreadCount } = group;
  const isOwn = event['senderId'] === me;
  if (event.event === 'new-message') {
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
