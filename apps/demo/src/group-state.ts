import type { GroupEvent, GroupSummary, Message, Position } from '@groupcast/shared';

export interface GroupState {
  summary: GroupSummary;
  /** The last event applied. The next one to apply is `position.seq + 1`. */
  position: Position;
  /** By `seq`, every message once. Before `history` is `loaded` only what came since. */
  messages: readonly Message[];
  history: 'unknown' | 'loading' | 'loaded' | 'failed';
  hasEarlier: boolean;
}

/** A message of this window that the API has not answered for yet. */
export interface OutgoingMessage {
  groupId: string;
  clientMessageId: string;
  content: string;
  createdAt: string;
  status: 'sending' | 'failed';
  error?: string;
}

export function newGroup(summary: GroupSummary): GroupState {
  return { summary, position: summary.position, messages: [], history: 'unknown', hasEarlier: false };
}

/** What only the list knows. Position, unread count and last message are ours: events keep them current. */
export function withListing(group: GroupState, listed: GroupSummary): GroupState {
  const { position, unreadCount, lastMessage } = group.summary;
  return { ...group, summary: { ...listed, position, unreadCount, lastMessage } };
}

/** Adds messages wherever they belong; the same message again replaces its first copy. */
export function withMessages(group: GroupState, added: readonly Message[]): GroupState {
  const last = added.at(-1);
  if (!last) return group;
  const byId = new Map(group.messages.map((message) => [message.id, message]));
  for (const message of added) byId.set(message.id, message);
  const messages = [...byId.values()].toSorted((a, b) => a.seq - b.seq);
  const { lastMessage } = group.summary;
  const newest = lastMessage && lastMessage.seq > last.seq ? lastMessage : last;
  return { ...group, messages, summary: { ...group.summary, lastMessage: newest } };
}

/** Moves the position to `event` and applies it. The caller has checked that it is the next one. */
export function withEvent(group: GroupState, event: GroupEvent, me: string): GroupState {
  const moved = { ...group, position: { epoch: event.epoch, seq: event.seq } };
  const message = messageOf(event);
  if (!message) return moved;
  const next = withMessages(moved, [message]);
  // Sending moves one's own read cursor, in whichever window it happened.
  const unreadCount = message.senderId === me ? 0 : next.summary.unreadCount + 1;
  return { ...next, summary: { ...next.summary, unreadCount } };
}

export function asRead(group: GroupState): GroupState {
  return { ...group, summary: { ...group.summary, unreadCount: 0 } };
}

/** As the list shows them: where something happened last comes first. */
export function byActivity(groups: ReadonlyMap<string, GroupState>): GroupState[] {
  const lastActivity = ({ summary }: GroupState): number =>
    Date.parse(summary.lastMessage?.createdAt ?? summary.createdAt);
  return [...groups.values()].toSorted((a, b) => lastActivity(b) - lastActivity(a));
}

/** Is `head` something that `position` has not seen? Another epoch counts: only the API can say what it means. */
export function isBeyond(head: Position, position: Position): boolean {
  return head.epoch !== position.epoch || head.seq > position.seq;
}

/** The door for live payloads: an event with a position, or nothing we could order. */
export function parseGroupEvent(name: string, payload: unknown): GroupEvent | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined;
  const { id, groupId, epoch, seq } = payload as Partial<Record<string, unknown>>;
  const strings = [id, groupId, epoch].every((value) => typeof value === 'string');
  return strings && Number.isSafeInteger(seq) ? ({ ...payload, event: name } as GroupEvent) : undefined;
}

function messageOf(event: GroupEvent): Message | undefined {
  if (event.event !== 'new-message') return undefined;
  const { senderId, content, createdAt } = event as Partial<Record<string, unknown>>;
  const strings = [senderId, content, createdAt].every((value) => typeof value === 'string');
  return strings ? (event as unknown as Message) : undefined;
}
