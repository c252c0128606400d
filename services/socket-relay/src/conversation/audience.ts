import { groupRoom, userRoom } from '@groupcast/shared';
import type { RelayServer, UserSocket } from '../sessions/session.ts';
import { isUserSocket } from '../sessions/session.ts';

/** Connections of this node that may see what is transient in a group: those that are live in it at this moment. */
export interface Audience {
  /** Ids of all of them. */
  of(groupId: string): ReadonlySet<string>;
  /** The connections of one user among them, without `exceptSocketId`. */
  ofUser(groupId: string, userId: string, exceptSocketId?: string): UserSocket[];
  /** The connections of all others; none in a group with more than `max` connections here. */
  ofOthers(groupId: string, userId: string, max: number): UserSocket[];
  /** How many connections the user has here, in the group or not. */
  countOf(userId: string): number;
  /** Sends these connections an event, which is encoded once; `undefined` where there are none. */
  to(sockets: readonly UserSocket[]): Pick<RelayServer['local'], 'emit'> | undefined;
}

const NOBODY: ReadonlySet<string> = new Set();

export function createAudience(io: RelayServer): Audience {
  const { adapter, sockets } = io.of('/');
  return {
    of: (groupId) => adapter.rooms.get(groupRoom(groupId)) ?? NOBODY,
    ofUser(groupId, userId, exceptSocketId) {
      const members = adapter.rooms.get(groupRoom(groupId));
      const found: UserSocket[] = [];
      if (!members) return found;
      for (const id of adapter.rooms.get(userRoom(userId)) ?? []) {
        const socket = id === exceptSocketId || !members.has(id) ? undefined : sockets.get(id);
        if (socket && isUserSocket(socket) && socket.data.session.groups.has(groupId)) found.push(socket);
      }
      return found;
    },
    ofOthers(groupId, userId, max) {
      const found: UserSocket[] = [];
      const members = adapter.rooms.get(groupRoom(groupId)) ?? NOBODY;
      for (const id of members.size > max ? NOBODY : members) {
        const socket = sockets.get(id);
        if (socket && isUserSocket(socket) && socket.data.session.userId !== userId) found.push(socket);
      }
      return found;
    },
    countOf: (userId) => adapter.rooms.get(userRoom(userId))?.size ?? 0,
    // Everybody is in a room of their own. An event to no room would go to all.
    to: (found) => (found.length > 0 ? io.local.to(found.map(({ id }) => id)) : undefined),
  };
}
