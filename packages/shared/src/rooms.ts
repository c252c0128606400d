/** Room names. Only the relay builds them, and only through these functions. */
export function groupRoom(groupId: string): string {
  return `group-${groupId}`;
}

export function userRoom(userId: string): string {
  return `user-${userId}`;
}

/** Who asked with `watch-group` to be told who comes and goes. */
export function presenceRoom(groupId: string): string {
  return `presence-${groupId}`;
}

/** Where monitor connections sit; no group or user room can be called this. */
export const MONITOR_ROOM = 'monitors';
