import {
  GroupcastError,
  type GroupPosition,
  generationOf,
  groupRoom,
  joinGroupSchema,
  leaveGroupSchema,
  type Position,
  parsePayload,
  refreshTokenSchema,
} from '@groupcast/shared';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { Admission, UserSocket } from '../relay-server.ts';
import type { Authenticator } from './authenticate.ts';
import type { EventHandler } from './event-door.ts';
import { type Membership, notAMember } from './membership.ts';
import type { Removals } from './removals.ts';
import type { SessionExpiry } from './session-expiry.ts';

export interface UserEvents {
  handlers: Readonly<Record<string, EventHandler<UserSocket>>>;
  /** Puts a connection into groups at once, and returns those that are new to it. */
  admit(socket: UserSocket, groupIds: readonly string[], admission: Admission): string[];
  /** Takes a connection out of groups, and tells it why. */
  expel(socket: UserSocket, groupIds: readonly string[], reason: 'member-removed' | 'token-refreshed'): void;
  /** `joined-groups`, with where each group stands at this moment. */
  announce(socket: UserSocket, groupIds: readonly string[]): Promise<void>;
}

function laterOf(a: Position | null, b: Position | null): Position | null {
  if (!a || !b) return a ?? b;
  if (a.epoch === b.epoch) return a.seq >= b.seq ? a : b;
  return generationOf(a.epoch) > generationOf(b.epoch) ? a : b;
}

/** What a browser may ask of its connection. */
export function createUserEvents(deps: {
  log: GroupLog;
  fanOut: FanOut;
  membership: Membership;
  removals: Removals;
  authenticator: Authenticator;
  expiry: SessionExpiry;
  monitor: MonitorFeed;
  maxGroups: number;
}): UserEvents {
  const { membership, removals, monitor } = deps;

  function admit(socket: UserSocket, groupIds: readonly string[], admission: Admission): string[] {
    const { groups, undecided, userId } = socket.data.session;
    if (!socket.connected) return [];
    const fresh = groupIds.filter((groupId) => !groups.has(groupId));
    if (groups.size + fresh.length > deps.maxGroups) {
      throw new GroupcastError('GROUP_LIMIT', `unable to join; a connection may be in ${deps.maxGroups} groups`);
    }
    for (const groupId of fresh) {
      groups.set(groupId, admission);
      undecided.delete(groupId);
      monitor.publish({ kind: 'joined', socketId: socket.id, userId, groupId });
    }
    if (fresh.length > 0) void socket.join(fresh.map(groupRoom));
    return fresh;
  }

  function leave(socket: UserSocket, groupId: string, reason: string): void {
    const { groups, undecided, userId } = socket.data.session;
    undecided.delete(groupId);
    if (!groups.delete(groupId)) return;
    void socket.leave(groupRoom(groupId));
    monitor.publish({ kind: 'left', socketId: socket.id, userId, groupId, reason });
  }

  function expel(socket: UserSocket, groupIds: readonly string[], reason: 'member-removed' | 'token-refreshed'): void {
    const left = groupIds.filter((groupId) => socket.data.session.groups.has(groupId));
    for (const groupId of groupIds) leave(socket, groupId, reason);
    if (left.length > 0) socket.emit('left-groups', { groups: left, reason });
  }

  /** Call after joining: an event that comes in between moves `delivered`, which is read when the answer leaves. */
  async function standing(groupId: string): Promise<() => Position | null> {
    const head = await deps.log.head(groupId);
    return () => laterOf(head, deps.fanOut.delivered(groupId));
  }

  async function announce(socket: UserSocket, groupIds: readonly string[]): Promise<void> {
    const reads = await Promise.all(groupIds.map(async (groupId) => ({ groupId, read: await standing(groupId) })));
    const groups: GroupPosition[] = reads
      .filter(({ groupId }) => socket.data.session.groups.has(groupId))
      .map(({ groupId, read }) => ({ groupId, position: read() }));
    if (groups.length > 0 || groupIds.length === 0) socket.emit('joined-groups', { groups });
  }

  const handlers: UserEvents['handlers'] = {
    'join-group': async (socket, payload) => {
      const { groupId } = parsePayload(joinGroupSchema, payload, 'join-group');
      const { userId, claims, groups } = socket.data.session;
      if (!groups.has(groupId)) {
        const { admission, removalVersion } = await membership.authorise(claims, groupId);
        if (removals.removedSince(groupId, userId, removalVersion)) throw notAMember(groupId);
        admit(socket, [groupId], admission);
      }
      const read = await standing(groupId);
      // Recovery from a position is not offered yet: the client reads the API's /events.
      return () => ({ groupId, position: read(), recovered: false, events: [], more: false });
    },
    'leave-group': (socket, payload) => {
      const { groupId } = parsePayload(leaveGroupSchema, payload, 'leave-group');
      leave(socket, groupId, 'left');
      return { groupId };
    },
    'refresh-token': async (socket, payload) => {
      const { token } = parsePayload(refreshTokenSchema, payload, 'refresh-token');
      const { session } = socket.data;
      const claims = await deps.authenticator.user(token);
      if (claims.userId !== session.userId) {
        throw new GroupcastError('FORBIDDEN', 'unable to refresh; the token is another user’s');
      }
      const decision = await membership.decideClaims(claims, claims.groups);
      session.claims = claims;
      const named = new Set(claims.groups);
      const dropped = [...session.groups].filter(([groupId, why]) => why === 'token' && !named.has(groupId));
      expel(
        socket,
        dropped.map(([groupId]) => groupId),
        'token-refreshed',
      );
      session.undecided = new Set(decision.undecided);
      const admitted = decision.admitted.filter(
        (groupId) => !removals.removedSince(groupId, claims.userId, decision.removalVersion),
      );
      const fresh = admit(socket, admitted, 'token');
      if (fresh.length > 0) await announce(socket, fresh);
      deps.expiry.watch(socket);
      return { expiresAt: claims.expiresAt, groups: [...session.groups.keys()] };
    },
  };

  return { handlers, admit, expel, announce };
}
