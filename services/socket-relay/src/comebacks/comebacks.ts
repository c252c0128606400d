import { type Logger, within } from '@groupcast/service-kit';
import type { Position } from '@groupcast/shared';
import type { GroupLog } from '../group-log/group-log.ts';
import type { ClaimDecision, Membership } from '../membership/authorisation.ts';
import type { Entry, Recovery } from '../membership/recovery.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import type { PreparedComeback } from '../sessions/comeback.ts';
import { isOffset, MAX_TEXT_LENGTH, prefixOf, readOffset } from '../sessions/offsets.ts';
import { isUserSocket, type RelayServer, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import { isRaw } from '../sessions/transport.ts';
import { dialectOf } from '../sessions/voices.ts';
import type { LeftSession } from '../wire-format.ts';
import { type AskedSession, createLeftSessions, type LeftSessions } from './left-sessions.ts';
import { createSessionCopies, type SessionCopies } from './session-copies.ts';

/** How long the other relays may take to say whether they have the session, in milliseconds: the client waits for its CONNECT. */
const ASK_MS = 300;
/** How many questions may be open at once, in total and for one user. After a relay dies, its clients come back together, and no other relay has their sessions. */
const MAX_ASKING = 500;
const MAX_ASKING_OF_USER = 5;

/** The session that was found for a stock client that comes back, and the process that had it. */
export interface FoundComeback {
  sessionId: string;
  found: LeftSession;
  holder: string;
}

/**
 * Lets stock clients go on where they were (Socket.IO's connection state recovery): with the id of their session and the last offset that they have
 * read. A client is told that it has recovered only if it gets everything that it has missed; otherwise it has a new session, and nothing of the
 * earlier one.
 */
export interface Comebacks {
  readonly sessions: LeftSessions;
  readonly copies: Pick<SessionCopies, 'keep'>;
  /** Whether the connection gets an id for its session. */
  isFor(socket: RelaySocket): boolean;
  /** Finds the session that the connection asks for in its handshake, here or at another relay, and notes the offset with which it came. Never rejects. */
  find(socket: UserSocket): Promise<FoundComeback | undefined>;
  /**
   * Prepares it, if the user may still be in all of its groups, and everything can be had. `known` are groups of the user that the back end has
   * just named. Never rejects. Commit it, exactly once.
   */
  prepare(
    socket: UserSocket,
    asked: FoundComeback,
    decision: ClaimDecision & { known: readonly string[] },
  ): Promise<PreparedComeback | undefined>;
  /** Counts a client that has its session again. */
  given(): void;
}

/** The process with which the client has spoken last, as far as it says so. */
function madeBy({ sessionId, offset }: AskedSession): string {
  return (offset === undefined ? undefined : readOffset(offset)?.prefix) ?? prefixOf(sessionId);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_TEXT_LENGTH ? value : undefined;
}

export function createComebacks(
  io: RelayServer,
  deps: Parameters<typeof createLeftSessions>[1] &
    Parameters<typeof createSessionCopies>[0] & {
      membership: Membership;
      recovery: Recovery;
      groupLog: Pick<GroupLog, 'head' | 'read'>;
      otherNodes: OtherNodes;
      /** False where each event is sent by Socket.IO itself, without offsets. */
      hasOffsets: boolean;
      maxGroups: number;
      metrics: Pick<RelayMetrics, 'comebacks'>;
      log: Logger;
    },
): Comebacks {
  const { membership, metrics, log } = deps;
  const sessions = createLeftSessions(io, deps);
  const copies = createSessionCopies(deps);
  const own = deps.offsets.prefix;
  /** Questions under way, by user. */
  const asking = new Map<string, number>();
  let questions = 0;
  deps.otherNodes.answer('left-session', async (asked) => {
    const found = sessions.handOver(asked);
    return found ? { found, holder: own } : {};
  });

  /**
   * Returns the answers of the relays that have the session, or had it and have not heard yet that another one has it; `undefined` if they
   * could not be asked.
   */
  async function askOthers(
    asked: AskedSession,
  ): Promise<{ found: LeftSession; holder: string | undefined }[] | undefined> {
    const { userId } = asked;
    const ofUser = asking.get(userId) ?? 0;
    if (questions >= MAX_ASKING || ofUser >= MAX_ASKING_OF_USER) return undefined;
    asking.set(userId, ofUser + 1);
    questions += 1;
    try {
      const polled = deps.otherNodes.poll('left-session', asked, ASK_MS);
      // It ends by itself, with the answers that there are, unless Redis hangs.
      const { answers } = await within(2 * ASK_MS, polled, 'the other relays');
      return answers.flatMap(({ found, holder }) => (found ? [{ found, holder }] : []));
    } catch (error) {
      log.debug({ err: error }, 'unable to ask the other relays for a session');
      return undefined;
    } finally {
      questions -= 1;
      const left = (asking.get(userId) ?? 1) - 1;
      if (left > 0) asking.set(userId, left);
      else asking.delete(userId);
    }
  }

  /**
   * Finds a session where it is: here, at another relay, which knows it better than its copy, or in its copy. The copy says who has it: a relay that
   * had it before, and was asleep since, may not know that yet. While nobody can read the copy, it is only the relay that has made the offset.
   */
  async function findSession(
    asked: AskedSession,
  ): Promise<{ found: LeftSession; holder: string } | 'not-found' | 'not-asked'> {
    const stored = await copies.find(asked);
    const holder = stored === 'unknown' ? madeBy(asked) : stored?.holder;
    const here = holder === undefined || holder === own ? sessions.find(asked) : undefined;
    if (here) return { found: here, holder: own };
    if (holder === own) return 'not-found';
    const heard = await askOthers(asked);
    const answers = (heard ?? []).filter(
      (answer) => holder === undefined || !answer.holder || holder === answer.holder,
    );
    const [answer, ...others] = answers;
    if (others.length > 0) return 'not-found';
    const found = answer?.found ?? (stored === 'unknown' ? undefined : stored?.found);
    if (found) return { found, holder: holder ?? answer?.holder ?? '' };
    return heard ? 'not-found' : 'not-asked';
  }

  /** Returns the position to recover from. Of a group that had no events everything has been missed that is news since. */
  async function entryOf(groupId: string, position: Position | null, atHead: boolean): Promise<Entry> {
    if (position) return { groupId, since: position, atHead };
    const { head, newsAfter } = await deps.groupLog.read(groupId, 0, 0);
    return { groupId, since: head ? { epoch: head.epoch, seq: newsAfter } : undefined, atHead };
  }

  async function prepare(
    socket: UserSocket,
    { sessionId, found, holder }: FoundComeback,
    { admitted, undecided, removalVersion, known }: ClaimDecision & { known: readonly string[] },
  ): Promise<PreparedComeback | undefined> {
    const { claims, userId } = socket.data.session;
    const groupIds = found.groups.map(([groupId]) => groupId);
    const named = new Set([...admitted, ...known]);
    if (new Set([...named, ...groupIds]).size > deps.maxGroups) return undefined;
    if (groupIds.some((groupId) => undecided.includes(groupId))) return undefined;
    const rest = groupIds.filter((groupId) => !named.has(groupId));
    const authorised =
      rest.length > 0 ? await membership.authorise(claims, rest) : { admissions: new Map(), removalVersion };
    if (rest.some((groupId) => !authorised.admissions.has(groupId))) return undefined;
    const entries = await Promise.all(
      found.groups.map(async ([groupId, position]) =>
        entryOf(groupId, position, found.atHead?.includes(groupId) ?? false),
      ),
    );
    const prepared = await deps.recovery.recover(userId, entries);
    if (!prepared.isExact) {
      prepared.commit('', () => false);
      return undefined;
    }
    return { sessionId, found, holder, ...authorised, commit: (...given) => prepared.commit(...given) };
  }

  return {
    sessions,
    copies,
    isFor: (socket) => deps.hasOffsets && isUserSocket(socket) && dialectOf(socket).recovers && !isRaw(socket.conn),
    async find(socket) {
      const { pid, offset: rawOffset, positions } = socket.handshake.auth as Record<string, unknown>;
      const [sessionId, offset] = [textOf(pid), textOf(rawOffset)];
      // A text of the application's own may come again, and says nothing.
      if (offset !== undefined && isOffset(offset)) socket.data.session.cameWith = offset;
      // A client with positions says by itself what it has.
      if (sessionId === undefined || positions !== undefined) return undefined;
      const { userId } = socket.data.session;
      const isWhole = rawOffset === undefined || offset !== undefined;
      const asked = { userId, sessionId, ...(offset === undefined ? {} : { offset }) };
      const answer = isWhole ? await findSession(asked) : 'not-found';
      const isFound = typeof answer === 'object' && answer.found.dialect === dialectOf(socket).name;
      if (isFound) return { sessionId, ...answer };
      metrics.comebacks.inc({ outcome: answer === 'not-asked' ? answer : 'not-found' });
      return undefined;
    },
    given: () => metrics.comebacks.inc({ outcome: 'recovered' }),
    async prepare(socket, asked, decision) {
      const prepared = await prepare(socket, asked, decision).catch((error: unknown) => {
        log.debug({ err: error }, 'unable to prepare the session that a client has come back to');
        return undefined;
      });
      if (!prepared) metrics.comebacks.inc({ outcome: 'not-exact' });
      return prepared;
    },
  };
}
