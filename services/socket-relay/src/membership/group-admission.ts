import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import {
  type ErrorBody,
  GroupcastError,
  groupRoom,
  type LeftReason,
  notifiedRoom,
  presenceRoom,
  toErrorBody,
  type UserClaims,
} from '@groupcast/shared';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { Presence } from '../presence/presence.ts';
import type { Departures } from '../sessions/departures.ts';
import { type Admission, admittedBy, becauseOf, type InGroup } from '../sessions/in-group.ts';
import type { Joining, UserSession, UserSocket } from '../sessions/session.ts';
import { tell } from '../sessions/tell.ts';
import { dialectOf } from '../sessions/voices.ts';
import { type Membership, notAMember, notAMemberBody } from './authorisation.ts';
import type { Removals } from './removals.ts';
import { createTurnQueue } from './turn-queue.ts';

/** Knows which groups each connection is in, and takes it out of them again. A group that is admitted here is not yet live. */
export interface GroupAdmission {
  /** Admits the connection to groups that it asked for, and returns those that are new to it. Throws `GROUP_LIMIT`. */
  admit(socket: UserSocket, groupIds: readonly string[], admission: Admission): string[];
  /**
   * Admits the connection to groups that it did not ask for, and returns those that are new to it. Never throws: if the connection is full,
   * the group that matters least makes room, or the new one stays out, and the connection is told which (`group-limit`).
   */
  grant(socket: UserSocket, groupIds: readonly string[], admission: 'token' | 'added'): string[];
  /** Tells the connection which groups of its token were not looked at, because a connection may not be in that many. */
  tellLimit(socket: UserSocket, groupIds: readonly string[]): void;
  /** The user has read in these groups, or joined them: groups that nobody on the connection asked for make room before them. */
  used(socket: UserSocket, groupIds: readonly string[]): void;
  /** Resolves once no join of the connection to the group, of those now under way, is under way any more. Never rejects. */
  joinsUnderWay(session: UserSession, groupId: string): Promise<void>;
  /** Admits one group by the token, or by asking the API. Throws `NOT_A_MEMBER`, `API_UNAVAILABLE` or `GROUP_LIMIT`. */
  admitOne(socket: UserSocket, groupId: string): Promise<void>;
  /**
   * Admits those of the groups that the connection may have, and returns all that it has; the errors of the others go into `failed`. It
   * asks the API once for all.
   */
  admitEach(socket: UserSocket, groupIds: readonly string[], failed: Failures): Promise<string[]>;
  leave(socket: UserSocket, groupId: string, reason: string): void;
  /** The connection is gone. */
  gone(socket: UserSocket): void;
  /** Gives the connection the claims of a new token. The user may have chosen to be counted among those who are there, or not to be. */
  renew(socket: UserSocket, claims: UserClaims): void;
  /** Takes the connection out of the groups, and tells it why. */
  expel(socket: UserSocket, groupIds: readonly string[], reason: LeftReason): void;
}

/** Groups of one request that are admitted at once; those of a larger one wait for a turn of the event loop of their own. */
const FEW_GROUPS = 100;

/** Errors by group. It is a map, because a group may be called `constructor`. */
export type Failures = Map<string, { error: ErrorBody }>;

function leftMeanwhile(groupId: string): GroupcastError {
  return new GroupcastError('CONFLICT', `unable to join group "${groupId}"; it was left meanwhile`);
}

/**
 * Chooses the group that makes room in a full connection: the one that the API added longest ago, without anybody asking for it. If there
 * is none, the last one that the token names, because a token names the most active first; but only for another group of the token. Groups
 * that the client has asked for stay.
 */
export function leastWanted(groups: ReadonlyMap<string, InGroup>, incoming: 'token' | 'added'): string | undefined {
  let last: string | undefined;
  for (const [groupId, { admission }] of groups) {
    if (admission === 'added') return groupId;
    if (admission === 'token') last = groupId;
  }
  return incoming === 'added' ? last : undefined;
}

/** A group that the API had added is one that the user wants. */
function noteUse(groups: Map<string, InGroup>, groupId: string): void {
  const place = groups.get(groupId);
  if (place?.admission === 'added') groups.set(groupId, becauseOf(place, 'api'));
}

/** Whether the user does not want to be counted among those who are there. */
function isHidden({ data }: UserSocket): boolean {
  return data.session.claims.presence === false;
}

/** Begins a join that a leave can take back until `end` is called. */
function beginJoin(socket: UserSocket, groupId: string): Joining & { end: () => void } {
  const { session } = socket.data;
  const joining = session.joining ?? new Map<string, Set<Joining>>();
  session.joining = joining;
  let onEnd = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    onEnd = resolve;
  });
  const join = {
    cancelled: false,
    ended,
    end: () => {
      onEnd();
      const joins = joining.get(groupId);
      joins?.delete(join);
      if (joins?.size === 0) joining.delete(groupId);
      if (joining.size === 0) session.joining = undefined;
    },
  };
  joining.set(groupId, (joining.get(groupId) ?? new Set()).add(join));
  return join;
}

export function createGroupAdmission(deps: {
  membership: Membership;
  removals: Removals;
  monitor: MonitorFeed;
  presence: Presence;
  /** Remembers who was not let into a group, and why. */
  departures: Pick<Departures, 'keptOut' | 'letIn'>;
  log: Logger;
  maxGroups: number;
  logLevel: 'debug' | 'info';
}): GroupAdmission {
  const { membership, removals, monitor, presence } = deps;
  const warn = warnOnceEvery(60_000);
  const ownTurn = createTurnQueue();

  function admit(socket: UserSocket, groupIds: readonly string[], admission: Admission): string[] {
    const { groups } = socket.data.session;
    if (!socket.connected) return [];
    const fresh = [...new Set(groupIds)].filter((groupId) => !groups.has(groupId));
    if (groups.size + fresh.length > deps.maxGroups) {
      throw new GroupcastError('GROUP_LIMIT', `unable to join; a connection may be in ${deps.maxGroups} groups`);
    }
    for (const groupId of fresh) enter(socket, groupId, admission);
    return fresh;
  }

  function enter(socket: UserSocket, groupId: string, admission: Admission): void {
    const { groups, undecided, userId } = socket.data.session;
    groups.set(groupId, admittedBy(admission));
    undecided.delete(groupId);
    deps.departures.letIn(userId, groupId);
    monitor.publish({ kind: 'joined', socketId: socket.id, userId, groupId });
    presence.joined(groupId, userId, isHidden(socket));
  }

  function grant(socket: UserSocket, groupIds: readonly string[], admission: 'token' | 'added'): string[] {
    const { groups } = socket.data.session;
    if (!socket.connected) return [];
    const fresh: string[] = [];
    const out: string[] = [];
    for (const groupId of new Set(groupIds)) {
      if (groups.has(groupId)) continue;
      const last = groups.size < deps.maxGroups ? undefined : leastWanted(groups, admission);
      if (groups.size >= deps.maxGroups && last === undefined) {
        out.push(groupId);
        continue;
      }
      if (last !== undefined) {
        leave(socket, last, 'group-limit');
        out.push(last);
      }
      enter(socket, groupId, admission);
      fresh.push(groupId);
    }
    tellLimit(socket, out);
    return fresh.filter((groupId) => groups.has(groupId));
  }

  /** Tells the connection which groups it is not in, because it is in as many as it may be. */
  function tellLimit(socket: UserSocket, groupIds: readonly string[]): void {
    const [groupId] = groupIds;
    if (groupId === undefined) return;
    const { userId, copy } = socket.data.session;
    copy?.write();
    tell(socket, 'left-groups', { groups: [...groupIds], reason: 'group-limit' });
    const message = `a connection is in ${deps.maxGroups} groups, and gets no others live`;
    for (const left of groupIds) deps.departures.keptOut(userId, left, { code: 'GROUP_LIMIT', message });
    monitor.publish({ kind: 'warning', code: 'GROUP_LIMIT', message, groupId, socketId: socket.id, userId });
    warn(userId, (suppressed) => {
      deps.log.warn({ code: 'GROUP_LIMIT', userId, socketId: socket.id, groups: groupIds.length, suppressed }, message);
    });
  }

  function used(socket: UserSocket, groupIds: readonly string[]): void {
    const { groups } = socket.data.session;
    for (const groupId of groupIds) noteUse(groups, groupId);
  }

  async function admitEach(socket: UserSocket, groupIds: readonly string[], failed: Failures): Promise<string[]> {
    const { claims, groups, userId } = socket.data.session;
    const unknown = groupIds.filter((groupId) => !groups.has(groupId));
    if (unknown.length === 0) return [...groupIds];
    const joins = new Map(unknown.map((groupId) => [groupId, beginJoin(socket, groupId)]));
    try {
      const { admissions, removalVersion } = await membership.authorise(claims, unknown);
      if (unknown.length > FEW_GROUPS) await ownTurn(unknown.length);
      for (const [groupId, join] of joins) {
        const admission = admissions.get(groupId);
        if (!admission || removals.removedSince(groupId, userId, removalVersion)) {
          failed.set(groupId, { error: notAMemberBody(groupId) });
        } else if (join.cancelled) {
          failed.set(groupId, { error: leftMeanwhile(groupId).toBody() });
        } else {
          admit(socket, [groupId], admission);
        }
      }
    } catch (error) {
      for (const groupId of unknown) {
        if (!groups.has(groupId) && !failed.has(groupId)) failed.set(groupId, { error: toErrorBody(error) });
      }
    } finally {
      for (const join of joins.values()) join.end();
    }
    return groupIds.filter((groupId) => groups.has(groupId));
  }

  function noteJoined(socket: UserSocket, groupId: string): void {
    const { userId } = socket.data.session;
    // People who never joined get nothing, and their support looks for this line.
    deps.log[deps.logLevel]({ userId, socketId: socket.id, groupId }, `Joined ${dialectOf(socket).noun}: ${groupId}`);
  }

  async function admitOne(socket: UserSocket, groupId: string): Promise<void> {
    const { claims, groups, userId } = socket.data.session;
    if (groups.has(groupId)) {
      used(socket, [groupId]);
      noteJoined(socket, groupId);
      return;
    }
    const join = beginJoin(socket, groupId);
    try {
      const { admissions, removalVersion } = await membership.authorise(claims, [groupId]);
      const admission = admissions.get(groupId);
      if (!admission || removals.removedSince(groupId, userId, removalVersion))
        throw notAMember(groupId, groups.keys());
      if (join.cancelled) throw leftMeanwhile(groupId);
      admit(socket, [groupId], admission);
      noteJoined(socket, groupId);
    } finally {
      join.end();
    }
  }

  function leave(socket: UserSocket, groupId: string, reason: string): void {
    const { session } = socket.data;
    const { groups, undecided, userId, joining, notifies } = session;
    undecided.delete(groupId);
    for (const join of joining?.get(groupId) ?? []) join.cancelled = true;
    if (!groups.delete(groupId)) return;
    void socket.leave(groupRoom(groupId));
    void socket.leave(presenceRoom(groupId));
    if (notifies) void socket.leave(notifiedRoom(groupId));
    if (session.viewing === groupId) delete session.viewing;
    session.opened?.delete(groupId);
    session.copy?.moved(groupId);
    presence.left(groupId, userId, isHidden(socket));
    monitor.publish({ kind: 'left', socketId: socket.id, userId, groupId, reason });
  }

  return {
    admit,
    grant,
    tellLimit,
    used,
    async joinsUnderWay(session, groupId) {
      await Promise.all([...(session.joining?.get(groupId) ?? [])].map(async ({ ended }) => ended));
    },
    admitOne,
    admitEach,
    leave,
    gone(socket) {
      const { groups, userId } = socket.data.session;
      for (const groupId of groups.keys()) presence.left(groupId, userId, isHidden(socket));
    },
    renew(socket, claims) {
      const { session } = socket.data;
      const isOther = (claims.presence === false) !== isHidden(socket);
      if (isOther)
        for (const groupId of session.groups.keys()) presence.left(groupId, session.userId, isHidden(socket));
      session.claims = claims;
      session.copy?.changed();
      if (isOther)
        for (const groupId of session.groups.keys()) presence.joined(groupId, session.userId, isHidden(socket));
    },
    expel(socket, groupIds, reason) {
      const left = groupIds.filter((groupId) => socket.data.session.groups.has(groupId));
      for (const groupId of groupIds) leave(socket, groupId, reason);
      if (left.length === 0) return;
      socket.data.session.copy?.write();
      tell(socket, 'left-groups', { groups: left, reason });
    },
  };
}
