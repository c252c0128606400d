import type { Logger } from '@groupcast/service-kit';
import type { GroupPosition, Position, RecoveryResult, ResumeResult } from '@groupcast/shared';
import type { Deliveries } from '../fan-out/deliveries.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { Presence } from '../presence/presence.ts';
import type { Comeback, Missed, PreparedComeback } from '../sessions/comeback.ts';
import type { Departures } from '../sessions/departures.ts';
import type { Marks } from '../sessions/marks.ts';
import type { Offsets } from '../sessions/offsets.ts';
import type { UserSocket } from '../sessions/session.ts';
import { tell, tellAny } from '../sessions/tell.ts';
import { EVENTS_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import { type Membership, notAMember, notAMemberBody } from './authorisation.ts';
import { createGroupAdmission, type Failures, type GroupAdmission } from './group-admission.ts';
import { rememberingKeptOut } from './kept-out.ts';
import type { PreparedRecovery, Recovery } from './recovery.ts';
import type { Removals } from './removals.ts';

/**
 * Brings connections into groups and out of them. An admitted group is not yet live: it goes live in the same turn in which the member is
 * told its position, so that the next event the member receives is the one after it.
 */
export interface GroupEntry extends GroupAdmission {
  /** Makes admitted groups live and tells the connection: `joined-groups` and, for groups with a position, `resumed`. */
  announce(socket: UserSocket, groupIds: readonly string[], positions?: ReadonlyMap<string, Position>): Promise<void>;
  /**
   * Makes the groups of an earlier connection live, after the events that its client has missed there, each by itself and in the words of its
   * dialect. Admit the groups, and call it in the turn in which the connection is welcomed.
   */
  comeBack(socket: UserSocket, back: PreparedComeback): Promise<void>;
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
}

/** Rounds after which a connection that comes back is closed: it has missed more than it should be given event by event. */
const MAX_COMEBACK_ROUNDS = 10;

export function createGroupEntry(deps: {
  membership: Membership;
  removals: Removals;
  recovery: Recovery;
  monitor: MonitorFeed;
  presence: Presence;
  departures: Pick<Departures, 'keptOut' | 'letIn'>;
  log: Logger;
  /** Numbers what this node hands to its members. */
  marks: Pick<Marks, 'last'>;
  deliveries: Pick<Deliveries, 'find'>;
  offsets: Pick<Offsets, 'amongMissed'>;
  /** The connection has got everything that it had missed in its groups. */
  onRecovered: (userId: string) => void;
  isTrusted: () => boolean;
  budgets: UserBudgets;
  maxGroups: number;
  /** Of the line for a connection that has asked to join a group. */
  logLevel: 'debug' | 'info';
}): GroupEntry {
  const { recovery } = deps;
  const made = createGroupAdmission(deps);
  const admission = { ...made, ...rememberingKeptOut(made, deps.departures) };

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
    tellEntered(socket, named, known, positions !== undefined);
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
    const found = await admission.admitEach(socket, asked, failed);
    const answers = commit(socket, await prepare(socket, found, known));
    tellEntered(socket, answers, known, false, failed);
    return answers;
  }

  /** Empty if no group is undecided and the client has heard of none. */
  function undecidedOf({ data: { session } }: UserSocket): { undecided?: string[] } {
    if (session.undecided.size === 0 && !session.toldUndecided) return {};
    session.toldUndecided = session.undecided.size > 0;
    return { undecided: [...session.undecided] };
  }

  function chargeFor(socket: UserSocket, answers: ReadonlyMap<string, RecoveryResult>): void {
    let count = 0;
    for (const { events } of answers.values()) count += events.length;
    if (count > 0) deps.budgets.of(socket.data.session.userId).chargeWork(count / EVENTS_PER_UNIT);
  }

  /** Emits `joined-groups`, the first time even if it is empty, and `resumed` for the groups that came with a position. */
  function tellEntered(
    socket: UserSocket,
    answers: ReadonlyMap<string, RecoveryResult>,
    positions: ReadonlyMap<string, Position>,
    first: boolean,
    failed: Failures = new Map(),
  ): void {
    const groups: GroupPosition[] = [...answers].map(([groupId, { position }]) => ({ groupId, position }));
    socket.data.session.copy?.write();
    if (groups.length > 0 || first) tell(socket, 'joined-groups', { groups, ...undecidedOf(socket) });
    chargeFor(socket, answers);
    const resumed = [...failed, ...[...answers].filter(([groupId]) => positions.has(groupId))];
    if (resumed.length > 0)
      tell(socket, 'resumed', { groups: Object.fromEntries<ResumeResult['groups'][string]>(resumed) });
  }

  /** Tells a stock client the events that it has missed in these groups, and returns where it stands there before and after them. */
  function tellMissed(
    socket: UserSocket,
    { missed, number, socketIds }: Comeback,
    answers: ReadonlyMap<string, RecoveryResult>,
    before: ReadonlyMap<string, Position | null>,
  ): Missed[] {
    const more: Missed[] = [];
    for (const [groupId, { events, position }] of answers) {
      if (events.length === 0 || !position) continue;
      const index = missed.length + more.length;
      more.push({ groupId, before: before.get(groupId) ?? null, after: position });
      for (const event of events) {
        const { event: name, epoch, seq, ...rest } = event;
        const { exceptSocketId = '' } = deps.deliveries.find(groupId, { epoch, seq })?.except ?? {};
        if (socketIds.includes(exceptSocketId)) continue;
        tellAny(socket, name, { ...rest, epoch, seq }, deps.offsets.amongMissed(number, { index, seq }));
      }
    }
    chargeFor(socket, answers);
    return more;
  }

  async function comeBack(socket: UserSocket, back: PreparedComeback): Promise<void> {
    const { session } = socket.data;
    const { groups, socketIds } = back.found;
    const entered = new Map<string, RecoveryResult>();
    let before = new Map(groups);
    let answers = back.commit(socket.id, (groupId) => socket.connected && session.groups.has(groupId));
    // Groups that have just gone live may have numbers of their own; this one is not below them.
    const comeback: Comeback = { number: deps.marks.last, missed: [], state: 'open', socketIds };
    session.comeback = comeback;
    for (let round = 0; ; round += 1) {
      // The client believes that it gets everything. Where it does not, it comes back once more, as a new one.
      const isExact = [...answers.values()].every(({ recovered, position }) => recovered || position === null);
      if (!isExact || round > MAX_COMEBACK_ROUNDS) {
        socket.conn.close();
        return;
      }
      comeback.missed = [...comeback.missed, ...tellMissed(socket, comeback, answers, before)];
      for (const [groupId, answer] of answers) entered.set(groupId, { ...answer, events: [] });
      const rest = [...answers].flatMap(([groupId, { more, position }]) =>
        more && position ? [[groupId, position] as const] : [],
      );
      if (!socket.connected) return;
      if (rest.length === 0) {
        const isAtOnce = round === 0;
        Object.assign(
          comeback,
          isAtOnce ? { state: 'at once' } : { state: 'in rounds', number: deps.marks.last, missed: [] },
        );
        break;
      }
      const positions = new Map(rest);
      before = positions;
      answers = commit(socket, await prepare(socket, [...positions.keys()], positions));
    }
    tellEntered(socket, entered, new Map(), true);
    deps.onRecovered(session.userId);
  }

  return {
    ...admission,
    announce,
    comeBack,
    tellUndecided(socket) {
      const news = undecidedOf(socket);
      if (news.undecided) tell(socket, 'joined-groups', { groups: [], ...news });
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
      const groupIds = await admission.admitEach(socket, [...positions.keys()], failed);
      const prepared = await prepare(socket, groupIds, positions);
      return () => {
        const answers = commit(socket, prepared);
        for (const groupId of groupIds) {
          if (!answers.has(groupId)) failed.set(groupId, { error: notAMemberBody(groupId) });
        }
        return { groups: Object.fromEntries<ResumeResult['groups'][string]>([...failed, ...answers]) };
      };
    },
  };
}
