/** Room names. Only the relay builds them, and only through these functions. */
export function groupRoom(groupId: string): string {
  return `group-${groupId}`;
}

/** The group whose members are in a room; `undefined` for a room of another kind. */
export function groupOfRoom(room: string): string | undefined {
  const prefix = groupRoom('');
  return room.startsWith(prefix) ? room.slice(prefix.length) : undefined;
}

export function userRoom(userId: string): string {
  return `user-${userId}`;
}

/** The room of connections that asked with `watch-group` to be told which users come and go. */
export function presenceRoom(groupId: string): string {
  return `presence-${groupId}`;
}

/** The room of connections that want to be notified of messages in the group, and do not have it on screen. */
export function notifiedRoom(groupId: string): string {
  return `notified-${groupId}`;
}

/** The room of monitor connections; no group or user room can have this name. */
export const MONITOR_ROOM = 'monitors';
