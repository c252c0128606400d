import type { GroupState, OutgoingMessage } from './group-state.ts';

/** One bubble. `key` stays the same when an outgoing message becomes a saved one. */
export interface TimelineItem {
  key: string;
  senderId: string;
  content: string;
  createdAt: string;
  status: 'sent' | OutgoingMessage['status'];
  error?: string;
  clientMessageId?: string;
}

/** The saved messages in their order, then what is still on its way. */
export function timelineOf(group: GroupState, outgoing: readonly OutgoingMessage[], me: string): TimelineItem[] {
  const saved = group.messages.map(
    (message): TimelineItem => ({ ...message, key: message.clientMessageId ?? message.id, status: 'sent' }),
  );
  const pending = outgoing
    .filter((message) => message.groupId === group.summary.id)
    .map((message) => pendingItem(message, me));
  return [...saved, ...pending];
}

function pendingItem(message: OutgoingMessage, me: string): TimelineItem {
  return { ...message, key: message.clientMessageId, senderId: me };
}

const RUN_MS = 5 * 60_000;

/** Does `item` go on what `previous` began: same sender, same day, soon after? */
export function continues(previous: TimelineItem | undefined, item: TimelineItem): boolean {
  if (!previous || previous.senderId !== item.senderId || !isSameDay(previous, item)) return false;
  return Date.parse(item.createdAt) - Date.parse(previous.createdAt) < RUN_MS;
}

export function isSameDay(a: { createdAt: string }, b: { createdAt: string }): boolean {
  return new Date(a.createdAt).toDateString() === new Date(b.createdAt).toDateString();
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

export function formatTime(createdAt: string): string {
  return time.format(new Date(createdAt));
}

export function formatDay(createdAt: string): string {
  return isSameDay({ createdAt }, { createdAt: new Date().toISOString() }) ? 'Today' : day.format(new Date(createdAt));
}

/** For the group list: a time today, a date before. */
export function formatWhen(createdAt: string): string {
  const today = isSameDay({ createdAt }, { createdAt: new Date().toISOString() });
  return (today ? time : shortDay).format(new Date(createdAt));
}
