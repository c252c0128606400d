import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import {
  type ErrorBody,
  GroupcastError,
  type GroupPosition,
  groupRoom,
  type LeftReason,
  type Position,
  presenceRoom,
  type RecoveryResult,
  type ResumeResult,
  toErrorBody,
} from '@groupcast/shared';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { Presence } from '../presence/presence.ts';
import type { Admission, UserSocket } from '../sessions/session.ts';
import { EVENTS_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import { type Membership, notAMember } from './authorisation.ts';
import type { PreparedRecovery, Recovery } from './recovery.ts';
import type { Removals } from './removals.ts';

/**
 * Brings connections into groups and out of them. An admitted group is not yet live: it goes live in the same turn in which the member is
 * told its position, so that the next event the member receives is the one after it.
 */
export interface GroupEntry {
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
  /** Admits one group by the token, or by asking the API. Throws `NOT_A_MEMBER`, `API_UNAVAILABLE` or `GROUP_LIMIT`. */
  admitOne(socket: UserSocket, groupId: string): Promise<void>;
  /** Makes admitted groups live and tells the connection: `joined-groups` and, for groups with a position, `resumed`. */
  announce(socket: UserSocket, groupIds: readonly string[], positions?: ReadonlyMap<string, Position>): Promise<void>;
  /** Tells the connection which groups of its token are still undecided, if that is news to it. */
  tellUndecided(socket: UserSocket): void;
  /**
   * Prepares the answer for one admitted group; call the function in the turn in which the answer leaves. Throws `NOT_A_MEMBER` if the user
   * was removed, and `BROKER_UNAVAILABLE` while the relay is cut off.
   */
  recover(socket: UserSocket, groupId: string, since: Position | undefined): Promise<() => RecoveryResult>;
  /**
   * Prepares the answer to `resume`: every group, admitted if it is not yet, within one budget. Throws `BROKER_UNAVAILABLE` while the relay
   * is cut off.
   */
  resume(socket: UserSocket, positions: ReadonlyMap<string, Position>): Promise<() => ResumeResult>;
  leave(socket: UserSocket, groupId: string, reason: string): void;
  /** The connection is gone. */
  gone(socket: UserSocket): void;
  /** Takes the connection out of the groups, and tells it why. */
  expel(socket: UserSocket, groupIds: readonly string[], reason: LeftReason): void;
}

/** Errors by group. It is a map, because a group may be called `constructor`. */
type Failures = Map<string, { error: ErrorBody }>;

function leftMeanwhile(groupId: string): GroupcastError {
  return new GroupcastError('CONFLICT', `unable to join group "${groupId}"; it was left meanwhile`);
}

/**
 * Chooses the group that makes room in a full connection: the one that the API added longest ago, without anybody asking for it. If there
 * is none, the last one that the token names, because a token names the most active first; but only for another group of the token. Groups
 * that the client has asked for stay.
 */
export function leastWanted(groups: ReadonlyMap<string, Admission>, incoming: 'token' | 'added'): string | undefined {
  let last: string | undefined;
  for (const [groupId, admission] of groups) {
    if (admission === 'added') return groupId;
    if (admission === 'token') last = groupId;
  }
  return incoming === 'added' ? last : undefined;
}

export function createGroupEntry(deps: {
  membership: Membership;
  removals: Removals;
  recovery: Recovery;
  monitor: MonitorFeed;
  presence: Presence;
  log: Logger;
  /** The connection came with positions, and every group was recovered. */
  onRecovered: (userId: string) => void;
  isTrusted: () => boolean;
  budgets: UserBudgets;
  maxGroups: number;
}): GroupEntry {
  const { membership, removals, monitor, presence, recovery } = deps;
  const warn = warnOnceEvery(60_000);

  function admit(socket: UserSocket, groupIds: readonly string[], admission: Admission): string[] {
    const { groups } = socket.data.session;
    if (!socket.connected) return [];
    const fresh = groupIds.filter((groupId) => !groups.has(groupId));
    if (groups.size + fresh.length > deps.maxGroups) {
      throw new GroupcastError('GROUP_LIMIT', `unable to join; a connection may be in ${deps.maxGroups} groups`);
    }
    for (const groupId of fresh) enter(socket, groupId, admission);
    return fresh;
  }

  function enter(socket: UserSocket, groupId: string, admission: Admission): void {
    const { groups, undecided, userId } = socket.data.session;
    groups.set(groupId, admission);
    undecided.delete(groupId);
    monitor.publish({ kind: 'joined', socketId: socket.id, userId, groupId });
    presence.joined(groupId, userId);
  }

  function grant(socket: UserSocket, groupIds: readonly string[], admission: 'token' | 'added'): string[] {
    const { groups } = socket.data.session;
    if (!socket.connected) return [];
    const fresh: string[] = [];
    const out: string[] = [];
    for (const groupId of groupIds.filter((id) => !groups.has(id))) {
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
    const { userId } = socket.data.session;
    socket.emit('left-groups', { groups: [...groupIds], reason: 'group-limit' });
    const message = `a connection is in ${deps.maxGroups} groups, and gets no others live`;
    monitor.publish({ kind: 'warning', code: 'GROUP_LIMIT', message, groupId, socketId: socket.id, userId });
    warn(userId, (suppressed) => {
      deps.log.warn({ code: 'GROUP_LIMIT', userId, socketId: socket.id, groups: groupIds.length, suppressed }, message);
    });
  }

  function used(socket: UserSocket, groupIds: readonly string[]): void {
    const { groups } = socket.data.session;
    for (const groupId of groupIds) if (groups.get(groupId) === 'added') groups.set(groupId, 'api');
  }

  /** Returns the groups that the connection may have; the errors of the others go into `failed`. It asks the API once for all. */
  async function admitEach(socket: UserSocket, groupIds: readonly string[], failed: Failures): Promise<string[]> {
    const { claims, groups, userId } = socket.data.session;
    const unknown = groupIds.filter((groupId) => !groups.has(groupId));
    if (unknown.length === 0) return [...groupIds];
    const joins = new Map(unknown.map((groupId) => [groupId, beginJoin(socket, groupId)]));
    try {
      const { admissions, removalVersion } = await membership.authorise(claims, unknown);
      for (const [groupId, join] of joins) {
        const admission = admissions.get(groupId);
        if (!admission || removals.removedSince(groupId, userId, removalVersion)) {
          failed.set(groupId, { error: notAMember(groupId).toBody() });
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

  async function admitOne(socket: UserSocket, groupId: string): Promise<void> {
    const { claims, groups, userId } = socket.data.session;
    if (groups.has(groupId)) return used(socket, [groupId]);
    const join = beginJoin(socket, groupId);
    const { admissions, removalVersion } = await membership.authorise(claims, [groupId]).finally(join.end);
    const admission = admissions.get(groupId);
    if (!admission || removals.removedSince(groupId, userId, removalVersion)) throw notAMember(groupId);
    if (join.cancelled) throw leftMeanwhile(groupId);
    admit(socket, [groupId], admission);
  }

  /** Begins a join that a leave can take back until `end` is called. */
  function beginJoin(socket: UserSocket, groupId: string): { cancelled: boolean; end: () => void } {
    const { session } = socket.data;
    const joining = session.joining ?? new Map<string, Set<{ cancelled: boolean }>>();
    session.joining = joining;
    const join = {
      cancelled: false,
      end: () => {
        const joins = joining.get(groupId);
        joins?.delete(join);
        if (joins?.size === 0) joining.delete(groupId);
        if (joining.size === 0) session.joining = undefined;
      },
    };
    joining.set(groupId, (joining.get(groupId) ?? new Set()).add(join));
    return join;
  }

  function leave(socket: UserSocket, groupId: string, reason: string): void {
    const { groups, undecided, userId, joining } = socket.data.session;
    undecided.delete(groupId);
    for (const join of joining?.get(groupId) ?? []) join.cancelled = true;
    if (!groups.delete(groupId)) return;
    void socket.leave(groupRoom(groupId));
    void socket.leave(presenceRoom(groupId));
    presence.left(groupId, userId);
    monitor.publish({ kind: 'left', socketId: socket.id, userId, groupId, reason });
  }

  async function prepare(
    socket: UserSocket,
    groupIds: readonly string[],
    positions: ReadonlyMap<string, Position>,
  ): Promise<PreparedRecovery> {
    const entries = groupIds.map((groupId) => ({ groupId, since: positions.get(groupId) }));
    return recovery.recover(socket.data.session.userId, entries);
  }

  /** Answers only for groups that the connection still has, and only while it is there. */
  function commit(socket: UserSocket, prepared: PreparedRecovery): Map<string, RecoveryResult> {
    return prepared.commit(socket.id, (groupId) => socket.connected && socket.data.session.groups.has(groupId));
  }

  async function announce(
    socket: UserSocket,
    groupIds: readonly string[],
    positions?: ReadonlyMap<string, Position>,
  ): Promise<void> {
    const known = positions ?? new Map<string, Position>();
    const named = commit(socket, await prepare(socket, groupIds, known));
    tell(socket, named, known, positions !== undefined);
    // Groups that the token does not name wait for the API by themselves, and hold up no other.
    const asked = [...known.keys()].filter((groupId) => !groupIds.includes(groupId));
    const added = asked.length === 0 ? new Map<string, RecoveryResult>() : await announceAsked(socket, asked, known);
    const answers = new Map([...named, ...added]);
    if (known.size > 0 && [...known.keys()].every((groupId) => answers.get(groupId)?.recovered)) {
      deps.onRecovered(socket.data.session.userId);
    }
  }

  async function announceAsked(
    socket: UserSocket,
    asked: readonly string[],
    known: ReadonlyMap<string, Position>,
  ): Promise<Map<string, RecoveryResult>> {
    const failed: Failures = new Map();
    const found = await admitEach(socket, asked, failed);
    const answers = commit(socket, await prepare(socket, found, known));
    tell(socket, answers, known, false, failed);
    return answers;
  }

  /** Empty if no group is undecided and the client has heard of none. */
  function undecidedOf({ data: { session } }: UserSocket): { undecided?: string[] } {
    if (session.undecided.size === 0 && !session.toldUndecided) return {};
    session.toldUndecided = session.undecided.size > 0;
    return { undecided: [...session.undecided] };
  }

  /** Emits `joined-groups`, the first time even if it is empty, and `resumed` for the groups that came with a position. */
  function tell(
    socket: UserSocket,
    answers: ReadonlyMap<string, RecoveryResult>,
    positions: ReadonlyMap<string, Position>,
    first: boolean,
    failed: Failures = new Map(),
  ): void {
    const groups: GroupPosition[] = [...answers].map(([groupId, { position }]) => ({ groupId, position }));
    if (groups.length > 0 || first) socket.emit('joined-groups', { groups, ...undecidedOf(socket) });
    let events = 0;
    for (const answer of answers.values()) events += answer.events.length;
    if (events > 0) deps.budgets.of(socket.data.session.userId).chargeWork(events / EVENTS_PER_UNIT);
    const resumed = [...failed, ...[...answers].filter(([groupId]) => positions.has(groupId))];
    if (resumed.length > 0)
      socket.emit('resumed', { groups: Object.fromEntries<ResumeResult['groups'][string]>(resumed) });
  }

  return {
    admit,
    grant,
    tellLimit,
    used,
    admitOne,
    announce,
    tellUndecided(socket) {
      const news = undecidedOf(socket);
      if (news.undecided) socket.emit('joined-groups', { groups: [], ...news });
    },
    leave,
    gone(socket) {
      const { groups, userId } = socket.data.session;
      for (const groupId of groups.keys()) presence.left(groupId, userId);
    },
    async recover(socket, groupId, since) {
      if (!deps.isTrusted()) throw cutOff(`join group "${groupId}"`);
      const positions = new Map(since ? [[groupId, since]] : []);
      const prepared = await prepare(socket, [groupId], positions);
      return () => {
        const answer = commit(socket, prepared).get(groupId);
        if (!answer) throw notAMember(groupId);
        return answer;
      };
    },
    async resume(socket, positions) {
      if (positions.size > 0 && !deps.isTrusted()) throw cutOff('resume');
      const failed: Failures = new Map();
      const groupIds = await admitEach(socket, [...positions.keys()], failed);
      const prepared = await prepare(socket, groupIds, positions);
      return () => {
        const answers = commit(socket, prepared);
        for (const groupId of groupIds) {
          if (!answers.has(groupId)) failed.set(groupId, { error: notAMember(groupId).toBody() });
        }
        return { groups: Object.fromEntries<ResumeResult['groups'][string]>([...failed, ...answers]) };
      };
    },
    expel(socket, groupIds, reason) {
      const left = groupIds.filter((groupId) => socket.data.session.groups.has(groupId));
      for (const groupId of groupIds) leave(socket, groupId, reason);
      if (left.length > 0) socket.emit('left-groups', { groups: left, reason });
    },
  };
}
