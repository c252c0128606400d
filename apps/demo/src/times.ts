const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

export function isSameDay(a: string, b: string): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

function isToday(createdAt: string): boolean {
  return isSameDay(createdAt, new Date().toISOString());
}

export function formatTime(createdAt: string): string {
  return time.format(new Date(createdAt));
}

export function formatDay(createdAt: string): string {
  return isToday(createdAt) ? 'Today' : day.format(new Date(createdAt));
}

/** When a user was last here. */
export function formatLastSeen(lastSeenAt: string): string {
  return `last seen ${isToday(lastSeenAt) ? 'at' : 'on'} ${formatWhen(lastSeenAt)}`;
}

/** Formats a time for the list of groups: the time of today, or an earlier date. */
export function formatWhen(createdAt: string): string {
  return (isToday(createdAt) ? time : shortDay).format(new Date(createdAt));
}
