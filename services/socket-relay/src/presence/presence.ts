import type { Logger } from '@groupcast/service-kit';
import { groupRoom, presenceRoom } from '@groupcast/shared';
import type { RelayServer } from '../sessions/session.ts';
import type { PresenceStore } from './presence-store.ts';

export interface PresenceAnswer {
  users: { userId: string; connections: number }[];
  numUsers: number;
  numConnections: number;
}

/** Knows who is there, in each group. */
export interface Presence {
  /** A connection of the user is in the group from now on. A hidden one is counted nowhere but in `usersHere`. */
  joined(groupId: string, userId: string, isHidden?: boolean): void;
  /** A connection of the user has left the group. The user is gone if no other comes within a moment. */
  left(groupId: string, userId: string, isHidden?: boolean): void;
  get(groupId: string): Promise<PresenceAnswer>;
  /** Users with connections of this node in the group, as of now, hidden ones included. It is for nobody outside. */
  usersHere(groupId: string): string[];
  stop(): Promise<void>;
}

/** How long a user without a connection still counts as there, in milliseconds: a user who reconnects within this time is never reported offline. */
const LINGER_MS = 2_000;
/** Shortest time between two `presence` events of a group, in milliseconds. */
const ANNOUNCE_MS = 1_000;
/** Most users of a group whose members are told unasked. In larger groups only those who asked with `watch-group` are told. */
const MAX_UNASKED_USERS = 100;

export function createPresence(deps: { io: RelayServer; store: PresenceStore; log: Logger }): Presence {
  const { io, store, log } = deps;
  const { adapter } = io.of('/');
  /** Connections of this node by group and user. */
  const here = new Map<string, Map<string, number>>();
  /** Users whose last connection has gone, with the timers after which they are gone too. */
  const leaving = new Map<string, NodeJS.Timeout>();
  /** The users that the members of this node believe to be there. */
  const told = new Map<string, ReadonlySet<string>>();
  const announcements = new Map<string, NodeJS.Timeout>();

  /** Hidden connections of this node by group and user; empty unless there are any. */
  const hidden = new Map<string, Map<string, number>>();

  const pairOf = (groupId: string, userId: string): string => `${groupId}\n${userId}`;

  function count(groupId: string, userId: string, by: 1 | -1, of = here): number {
    const users = of.get(groupId) ?? new Map<string, number>();
    const connections = Math.max(0, (users.get(userId) ?? 0) + by);
    if (connections > 0) of.set(groupId, users.set(userId, connections));
    else users.delete(userId);
    if (users.size === 0) of.delete(groupId);
    return connections;
  }

  function isWatched(groupId: string): boolean {
    return adapter.rooms.has(groupRoom(groupId)) || adapter.rooms.has(presenceRoom(groupId));
  }

  function announceSoon(groupId: string): void {
    if (announcements.has(groupId)) return;
    announcements.set(
      groupId,
      setTimeout(() => {
        announcements.delete(groupId);
        announce(groupId).catch((error: unknown) =>
          log.debug({ err: error, groupId }, 'unable to announce who is there'),
        );
      }, ANNOUNCE_MS),
    );
  }

  async function announce(groupId: string): Promise<void> {
    if (!isWatched(groupId)) {
      told.delete(groupId);
      return;
    }
    const before = told.get(groupId) ?? new Set<string>();
    const now = new Set((await store.read(groupId)).keys());
    told.set(groupId, now);
    const online = [...now].filter((userId) => !before.has(userId));
    const offline = [...before].filter((userId) => !now.has(userId));
    if (online.length === 0 && offline.length === 0) return;
    const isLarge = Math.max(now.size, before.size) > MAX_UNASKED_USERS;
    const rooms = isLarge ? [presenceRoom(groupId)] : [groupRoom(groupId), presenceRoom(groupId)];
    io.local.to(rooms).emit('presence', { groupId, online, offline });
  }

  store.onChange(announceSoon);

  return {
    joined(groupId, userId, isHidden = false) {
      if (isHidden) {
        count(groupId, userId, 1, hidden);
        return;
      }
      const pair = pairOf(groupId, userId);
      clearTimeout(leaving.get(pair));
      leaving.delete(pair);
      store.set(groupId, userId, count(groupId, userId, 1));
      announceSoon(groupId);
    },
    left(groupId, userId, isHidden = false) {
      if (isHidden) {
        count(groupId, userId, -1, hidden);
        return;
      }
      const connections = count(groupId, userId, -1);
      if (connections > 0) {
        store.set(groupId, userId, connections);
        return;
      }
      const pair = pairOf(groupId, userId);
      clearTimeout(leaving.get(pair));
      leaving.set(
        pair,
        setTimeout(() => {
          leaving.delete(pair);
          store.set(groupId, userId, 0);
          announceSoon(groupId);
        }, LINGER_MS),
      );
    },
    async get(groupId) {
      const users = [...(await store.read(groupId))].map(([userId, connections]) => ({ userId, connections }));
      const numConnections = users.reduce((sum, { connections }) => sum + connections, 0);
      return { users, numUsers: users.length, numConnections };
    },
    usersHere: (groupId) => [
      ...new Set([...(here.get(groupId)?.keys() ?? []), ...(hidden.get(groupId)?.keys() ?? [])]),
    ],
    async stop() {
      for (const timer of [...leaving.values(), ...announcements.values()]) clearTimeout(timer);
      await store.stop();
    },
  };
}
