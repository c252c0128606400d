import type { Logger } from '@groupcast/service-kit';
import { type MemberChange, userRoom } from '@groupcast/shared';
import type { Presence } from '../presence/presence.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { RelayServer, UserSocket } from '../sessions/session.ts';
import { endSession } from '../sessions/session-ending.ts';
import type { SessionExpiry } from '../sessions/session-expiry.ts';
import { tell } from '../sessions/tell.ts';
import { joinsByItself } from '../sessions/voices.ts';
import type { NotifyCommand } from '../wire-format.ts';
import type { GroupEntry } from './group-entry.ts';
import type { Removals } from './removals.ts';

/** Carries out, on this node, the commands that are about users rather than groups. */
export interface MemberChanges {
  /** Only remembers the change, which is from before this node had connections. `second`: when it was made, in Unix seconds. */
  remember(change: MemberChange, second: number): void;
  /** Returns how many connections of this node the change was about. */
  carryOut(change: MemberChange, second?: number): Promise<number>;
  /** Returns how many connections of this node were reached. */
  notify(command: NotifyCommand): number;
}

/** How long a client that was asked to refresh a revoked token may take, in seconds, before it is closed. */
const REFRESH_GRACE_SECONDS = 30;

export function createMemberChanges(deps: {
  io: RelayServer;
  connections: ConnectionIndex;
  entry: GroupEntry;
  removals: Removals;
  presence: Presence;
  expiry: SessionExpiry;
  log: Logger;
}): MemberChanges {
  const { io, connections, entry, removals, presence, expiry, log } = deps;

  /** Stores the change, and returns the users on this node that it is about. */
  function record(change: MemberChange, second?: number): string[] {
    switch (change.kind) {
      case 'add-members':
      case 'remove-members': {
        const kind = change.kind === 'add-members' ? 'added' : 'removed';
        return removals.record(kind, change.groupId, change.userIds, change.position, second);
      }
      case 'remove-everyone': {
        const later = removals.recordEveryone(change.groupId, change.position, second);
        return later ? presence.usersHere(change.groupId).filter((userId) => !later.has(userId)) : [];
      }
      case 'disconnect-users': {
        const { userIds, revokeBefore } = change;
        if (revokeBefore !== undefined) for (const userId of userIds) removals.revoke(userId, revokeBefore);
        return [...new Set(userIds)];
      }
      default: {
        const unreachable: never = change;
        return unreachable;
      }
    }
  }

  async function add(groupId: string, sockets: readonly UserSocket[]): Promise<void> {
    await Promise.all(
      sockets.map(async (socket) => {
        try {
          if (entry.grant(socket, [groupId], 'added').length > 0) await entry.announce(socket, [groupId]);
        } catch (error) {
          // A failure for one connection does not keep the others out.
          log.warn({ err: error, groupId, socketId: socket.id }, 'unable to add a connection to a group');
        }
      }),
    );
  }

  function disconnect(
    change: Extract<MemberChange, { kind: 'disconnect-users' }>,
    sockets: readonly UserSocket[],
  ): void {
    const { code, next, message = 'the connection was ended by the server' } = change;
    for (const socket of sockets) {
      if (next !== 'refresh-token') {
        endSession(socket, { code, message, next, retryAfterMs: 0 });
        continue;
      }
      tell(socket, 'session-ending', { code, message, next, retryAfterMs: 0 });
      const { userId, claims } = socket.data.session;
      if (removals.isRevoked(userId, claims.issuedAt)) expiry.endWithin(socket, REFRESH_GRACE_SECONDS);
    }
  }

  return {
    remember: (change, second) => void record(change, second),
    async carryOut(change, second) {
      const sockets = record(change, second).flatMap((userId) => connections.ofUser(userId));
      switch (change.kind) {
        case 'add-members':
          await add(change.groupId, sockets.filter(joinsByItself));
          break;
        case 'remove-members':
          for (const socket of sockets) entry.expel(socket, [change.groupId], 'member-removed');
          break;
        case 'remove-everyone': {
          // A user who is about to come in is stopped by the stored change.
          const members = sockets.filter(({ data }) => data.session.groups.has(change.groupId));
          for (const socket of members) entry.expel(socket, [change.groupId], 'member-removed');
          return members.length;
        }
        case 'disconnect-users':
          disconnect(change, sockets);
          break;
        default: {
          const unreachable: never = change;
          return unreachable;
        }
      }
      return sockets.length;
    },
    notify({ userIds, event, data }) {
      const users = [...new Set(userIds)];
      if (users.length === 0) return 0;
      // The publisher chose the name; the map's types know only the relay's own events.
      io.local.to(users.map(userRoom)).emit(event, data as never);
      return users.flatMap((userId) => connections.ofUser(userId)).length;
    },
  };
}
