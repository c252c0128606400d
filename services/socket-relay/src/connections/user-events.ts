import {
  type Cursors,
  GroupcastError,
  hasMoreKeysThan,
  joinGroupSchema,
  leaveGroupSchema,
  parsePayload,
  presenceRoom,
  type ResumeResult,
  refreshTokenSchema,
  resumeSchema,
  updateCursorsSchema,
  watchGroupSchema,
} from '@groupcast/shared';
import type { ReadCursors } from '../conversation/read-cursors.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { Sender } from '../fan-out/sender.ts';
import { type Membership, notAMember } from '../membership/authorisation.ts';
import type { GroupEntry } from '../membership/group-entry.ts';
import type { Removals } from '../membership/removals.ts';
import { setOfUndecided, type UndecidedClaims } from '../membership/undecided-claims.ts';
import type { UserSocket } from '../sessions/session.ts';
import type { SessionExpiry } from '../sessions/session-expiry.ts';
import { EVENTS_PER_UNIT, GROUPS_PER_UNIT, READS_PER_UNIT, type UserBudget } from '../sessions/user-budgets.ts';
import { joinsByItself } from '../sessions/voices.ts';
import type { CursorForwarder } from '../upstream/cursor-forwarder.ts';
import type { Authenticator } from './authenticate.ts';
import { type BackEndDeps, createBackEndCommands } from './back-end-commands.ts';
import { type ConversationDeps, createConversationHandlers } from './conversation-events.ts';
import type { EventHandler } from './event-router.ts';
import { createOpenedGroups } from './opened-groups.ts';

export type UserHandlers = Readonly<Record<string, EventHandler<UserSocket>>>;

function countEvents({ groups }: ResumeResult): number {
  return Object.values(groups).reduce((sum, group) => sum + ('events' in group ? group.events.length : 0), 0);
}

export interface UserHandlerDeps extends ConversationDeps, BackEndDeps {
  entry: GroupEntry;
  membership: Membership;
  removals: Removals;
  authenticator: Authenticator;
  expiry: SessionExpiry;
  undecided: UndecidedClaims;
  /** Most groups in one `resume`. */
  maxGroups: number;
  /** Without an API nobody keeps cursors. */
  cursors: CursorForwarder | undefined;
  readCursors: ReadCursors;
  sender: Pick<Sender, 'forget'>;
  fanOut: Pick<FanOut, 'cursor'>;
}

/** Handles the events that a browser may send. */
export function createUserHandlers(deps: UserHandlerDeps): UserHandlers {
  const { entry } = deps;

  function budgetOf(socket: UserSocket): UserBudget {
    return deps.budgets.of(socket.data.session.userId);
  }

  function assertPositions(positions: unknown): void {
    if (typeof positions !== 'object' || positions === null || !hasMoreKeysThan(positions, deps.maxGroups)) return;
    throw new GroupcastError('GROUP_LIMIT', `unable to resume; at most ${deps.maxGroups} groups at once`);
  }

  function reportCursors(socket: UserSocket, reported: Readonly<Record<string, Cursors>>): object {
    if (!deps.cursors) {
      throw new GroupcastError('API_UNAVAILABLE', 'unable to keep cursors; this relay has no API', {
        retryable: false,
      });
    }
    const { userId } = socket.data.session;
    const groupIds = Object.keys(reported);
    for (const groupId of groupIds) assertMember(socket, groupId);
    const reads = Object.values(reported).filter(({ read }) => read !== undefined).length;
    budgetOf(socket).chargeWork(groupIds.length / GROUPS_PER_UNIT + reads / READS_PER_UNIT);
    for (const [groupId, cursors] of Object.entries(reported)) {
      if (cursors.received !== undefined) socket.data.session.reportsCursors = true;
      deps.cursors.report(userId, groupId, cursors);
      if (cursors.read === undefined) continue;
      const head = deps.fanOut.cursor(groupId)?.seq ?? 0;
      deps.readCursors.reported({ groupId, userId, readSeq: cursors.read, head, socketId: socket.id });
    }
    entry.used(
      socket,
      Object.keys(reported).filter((groupId) => (reported[groupId]?.read ?? 0) > 0),
    );
    return {};
  }

  function assertMember(socket: UserSocket, groupId: string): void {
    const { groups } = socket.data.session;
    if (!groups.has(groupId)) throw notAMember(groupId, groups.keys());
  }

  return {
    ...createConversationHandlers(deps),
    'join-group': async (socket, payload) => {
      const { groupId, position } = parsePayload(joinGroupSchema, payload, 'join-group');
      await entry.admitOne(socket, groupId);
      const answer = await entry.recover(socket, groupId, position);
      return () => {
        const result = answer();
        budgetOf(socket).chargeWork(result.events.length / EVENTS_PER_UNIT);
        return { groupId, ...result };
      };
    },
    'leave-group': (socket, payload) => {
      const { groupId } = parsePayload(leaveGroupSchema, payload, 'leave-group');
      entry.leave(socket, groupId, 'left');
      return { groupId };
    },
    resume: async (socket, payload) => {
      assertPositions((payload as { positions?: unknown } | null | undefined)?.positions);
      const { positions } = parsePayload(resumeSchema, payload, 'resume');
      const budget = budgetOf(socket);
      budget.takeWork(positions.size / GROUPS_PER_UNIT);
      const answer = await entry.resume(socket, positions);
      return () => {
        const result = answer();
        budget.chargeWork(countEvents(result) / EVENTS_PER_UNIT);
        return result;
      };
    },
    'watch-group': async (socket, payload) => {
      const { groupId, on } = parsePayload(watchGroupSchema, payload, 'watch-group');
      assertMember(socket, groupId);
      if (on) await socket.join(presenceRoom(groupId));
      else await socket.leave(presenceRoom(groupId));
      return { groupId };
    },
    'update-cursors': (socket, payload) =>
      reportCursors(socket, parsePayload(updateCursorsSchema, payload, 'update-cursors').cursors),
    ...createBackEndCommands({ ...deps, reportCursors, positionOf: (groupId) => deps.fanOut.cursor(groupId) }),
    ...createOpenedGroups(deps),
    'refresh-token': async (socket, payload) => {
      const { token } = parsePayload(refreshTokenSchema, payload, 'refresh-token');
      const { session } = socket.data;
      const claims = await deps.authenticator.user(token, socket.conn.remoteAddress);
      if (claims.userId !== session.userId) {
        throw new GroupcastError('FORBIDDEN', 'unable to refresh; the token is another user’s');
      }
      // A client that joins by itself keeps what it has joined, and is brought into nothing else.
      const wanted = joinsByItself(socket)
        ? claims.groups
        : claims.groups.filter((groupId) => session.groups.has(groupId));
      budgetOf(socket).takeWork(wanted.length / GROUPS_PER_UNIT);
      const decision = await deps.membership.decideClaims(claims, wanted);
      if (deps.removals.isRevoked(claims.userId, claims.issuedAt)) {
        throw new GroupcastError('TOKEN_REVOKED', 'unable to refresh; the token was revoked meanwhile, log in again');
      }
      entry.renew(socket, claims);
      if (socket.connected) deps.expiry.watch(socket);
      const named = new Set(claims.groups);
      const dropped = [...session.groups].filter(
        ([groupId, { admission }]) => admission === 'token' && !named.has(groupId),
      );
      entry.expel(
        socket,
        dropped.map(([groupId]) => groupId),
        'token-refreshed',
      );
      session.undecided = setOfUndecided(decision.undecided.filter((groupId) => !session.groups.has(groupId)));
      deps.undecided.add(socket);
      const admitted = decision.admitted.filter(
        (groupId) => !deps.removals.removedSince(groupId, claims.userId, decision.removalVersion),
      );
      const fresh = entry.grant(socket, admitted, 'token');
      if (fresh.length > 0) await entry.announce(socket, fresh);
      if (fresh.length === 0) entry.tellUndecided(socket);
      const undecided = session.undecided.size > 0 ? { undecided: [...session.undecided] } : {};
      return { expiresAt: claims.expiresAt, groups: [...session.groups.keys()], ...undecided };
    },
  };
}
