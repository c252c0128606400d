import type { GroupEvent, GroupSummary, Message } from '@groupcast/shared';

/** One change, or one question, of a user. Numbers choose among what there is by then: a message, a position, another user. */
export type Operation =
  | { kind: 'send'; user: number; group: number; key: number | undefined }
  | { kind: 'edit' | 'delete'; user: number; group: number; nth: number }
  | { kind: 'read' | 'cursors'; user: number; group: number; at: number }
  | { kind: 'add' | 'remove'; user: number; group: number; whom: number }
  | { kind: 'list' | 'messages' | 'events'; user: number; group: number; at: number };

export interface ModelMessage {
  seq: number;
  id: string;
  senderId: string;
  content: string;
  clientMessageId: string | undefined;
  isEdited: boolean;
  isDeleted: boolean;
}

export interface ModelMember {
  role: 'owner' | 'member';
  readSeq: number;
  receivedSeq: number;
}

/** A group as it should be: it is made of its events, in the order of their positions, and of the cursors that its members have moved. */
export interface ModelGroup {
  id: string;
  head: number;
  members: Map<string, ModelMember>;
  messages: ModelMessage[];
}

export function createModelGroup(id: string): ModelGroup {
  return { id, head: 0, members: new Map(), messages: [] };
}

const names = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** Applies the next event. Throws where it cannot be the next one, or may not happen. */
export function applyEvent(group: ModelGroup, event: GroupEvent): void {
  const fail = (why: string): never => {
    throw new Error(`${group.id} ${event.seq} ${event.event}: ${why}`);
  };
  if (event.seq !== group.head + 1) fail(`the position after ${group.head} is ${group.head + 1}`);
  group.head = event.seq;
  const actor = String(event['senderId'] ?? event['addedBy'] ?? event['removedBy'] ?? '');
  if (event.event !== 'group-created' && !group.members.has(actor)) fail(`${actor} is not a member`);
  const target = group.messages.find(({ id }) => id === event['messageId']);
  switch (event.event) {
    case 'group-created':
      for (const userId of names(event['userIds'])) {
        group.members.set(userId, { role: group.members.size === 0 ? 'owner' : 'member', readSeq: 0, receivedSeq: 0 });
      }
      return;
    case 'member-added':
      for (const userId of names(event['userIds'])) {
        if (group.members.has(userId)) fail(`${userId} is a member already`);
        group.members.set(userId, { role: 'member', readSeq: 0, receivedSeq: 0 });
      }
      return;
    case 'member-removed':
      for (const userId of names(event['userIds'])) {
        const { role } = group.members.get(userId) ?? fail(`${userId} is not a member`);
        group.members.delete(userId);
        const [heir] = group.members.values();
        if (role === 'owner' && heir && ![...group.members.values()].some((one) => one.role === 'owner'))
          heir.role = 'owner';
      }
      return;
    case 'new-message': {
      const clientMessageId = event['clientMessageId'] === undefined ? undefined : String(event['clientMessageId']);
      const isKnown = (one: ModelMessage) => one.senderId === actor && one.clientMessageId === clientMessageId;
      if (clientMessageId !== undefined && group.messages.some(isKnown)) fail('this message was sent before');
      group.messages.push({
        seq: event.seq,
        id: event.id,
        senderId: actor,
        content: String(event['content']),
        clientMessageId,
        isEdited: false,
        isDeleted: false,
      });
      return;
    }
    case 'message-updated':
      if (!target || target.isDeleted || target.senderId !== actor) return fail('it may not be edited');
      Object.assign(target, { content: String(event['content']), isEdited: true });
      return;
    case 'message-deleted':
      if (!target || target.isDeleted || target.senderId !== actor) return fail('it may not be deleted');
      if (event['messageSeq'] !== target.seq) fail('it names another position');
      Object.assign(target, { content: '', isDeleted: true });
      return;
    default:
      fail('unknown');
  }
}

export const visible = (group: ModelGroup): ModelMessage[] => group.messages.filter(({ isDeleted }) => !isDeleted);

/** One's own messages are read, whenever they were sent. */
export function readSeqOf(group: ModelGroup, userId: string): number {
  const own = group.messages.findLast(({ senderId }) => senderId === userId);
  return Math.max(group.members.get(userId)?.readSeq ?? 0, own?.seq ?? 0);
}

export function unreadOf(group: ModelGroup, userId: string): number {
  const above = readSeqOf(group, userId);
  return visible(group).filter(({ seq, senderId }) => seq > above && senderId !== userId).length;
}

/** A message as both the model and an answer have it. */
export const outline = ({ seq, id, senderId, content }: Pick<Message, 'seq' | 'id' | 'senderId' | 'content'>) => ({
  seq,
  id,
  senderId,
  content,
});

/** An entry of the list of groups as both have it. */
export function summaryOf(group: ModelGroup, userId: string) {
  const last = visible(group).at(-1);
  return {
    id: group.id,
    seq: group.head,
    memberCount: group.members.size,
    readSeq: readSeqOf(group, userId),
    unreadCount: unreadOf(group, userId),
    last: last ? outline(last) : null,
  };
}

export const shownSummary = (summary: GroupSummary) => ({
  id: summary.id,
  seq: summary.position.seq,
  memberCount: summary.memberCount,
  readSeq: summary.readSeq,
  unreadCount: summary.unreadCount,
  last: summary.lastMessage ? outline(summary.lastMessage) : null,
});
