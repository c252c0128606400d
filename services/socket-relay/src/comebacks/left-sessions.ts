import type { Position } from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import type { Deliveries } from '../fan-out/deliveries.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { Comeback } from '../sessions/comeback.ts';
import type { Marks } from '../sessions/marks.ts';
import type { Offsets } from '../sessions/offsets.ts';
import { readSoFar } from '../sessions/read-so-far.ts';
import { isUserSocket, type RelayServer, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import type { SessionCopy, StoredPage } from '../sessions/stored-session.ts';
import { dialectOf } from '../sessions/voices.ts';
import type { LeftSession } from '../wire-format.ts';

/** How long a session is kept after its connection has gone, in milliseconds: as long as stock Socket.IO keeps one. */
export const SESSION_WINDOW_MS = 120_000;
/** Most sessions that are kept, and most groups of them together, by all of their lists. The oldest go first. */
const MAX_SESSIONS = 20_000;
const MAX_GROUPS = 200_000;
/** Most sessions of one user, so that nobody takes those of others away. */
const MAX_OF_USER = 20;
/** Most earlier connections of a page that are remembered, for messages that it has sent on them. */
const MAX_SOCKET_IDS = 10;

interface LeftGroup {
  since: number;
  /** Where the node stood in the group when the connection went. */
  cursor: Position | null;
}

interface KeptSession extends StoredPage {
  /** When it went, and the last delivery before. */
  at: number;
  number: number;
  groups: ReadonlyMap<string, LeftGroup>;
  /** Its client has answered a ping that came after this delivery. */
  proven: number;
  comeback: Comeback | undefined;
  /** The copy of it that outlives this relay. */
  copy: SessionCopy | undefined;
}

export interface AskedSession {
  userId: string;
  sessionId: string;
  offset?: string | undefined;
}

/** The id that a stock client has for its session; Socket.IO has the field for its own recovery. */
interface WithSessionId {
  pid?: string | undefined;
}

/**
 * Sessions that stock clients can come back to, by the id that they got in the answer to their CONNECT. What is kept of a connection that is
 * there is in its session; of one that has gone it is kept here for two minutes.
 */
export interface LeftSessions {
  /** Gives the connection an id, that of an earlier session or a new one. Call it before Socket.IO answers its CONNECT. */
  name(socket: RelaySocket, sessionId?: string): void;
  /** Gives a session to the connection that has its id. Returns the one that had it, if that is still there: it has none from now on. */
  takeOver(socket: UserSocket): UserSocket | undefined;
  /** The connection is going, and still in its rooms. Its session is kept if its client comes back by itself. */
  leaving(socket: UserSocket, comesBack: boolean): void;
  /** Finds what the page with this session was in, and where; `undefined` if that is not known exactly. */
  find(asked: AskedSession): LeftSession | undefined;
  /** Does the same for another relay, which has the session from then on. */
  handOver(asked: AskedSession): LeftSession | undefined;
}

export const sessionIdOf = (socket: RelaySocket): string | undefined => (socket as unknown as WithSessionId).pid;

/** Returns how many groups are noted in the session, in all of its lists. */
function entriesOf({ groups, unwanted, opened, comeback }: KeptSession): number {
  return groups.size + unwanted.length + opened.length + (comeback?.missed.length ?? 0);
}

/** Returns the page of a connection: all of its session but the groups. */
export function pageOf(socket: UserSocket): StoredPage {
  const { userId, claims, groups, undecided, opened, viewing, comeback, cameWith } = socket.data.session;
  return {
    userId,
    dialect: dialectOf(socket).name,
    unwanted: claims.groups.filter((groupId) => !groups.has(groupId) && !undecided.has(groupId)),
    opened: [...(opened ?? [])],
    ...(viewing === undefined ? {} : { viewing }),
    socketIds: [...(comeback?.socketIds ?? []), socket.id].slice(-MAX_SOCKET_IDS),
    cameWith,
  };
}

/** Returns the part of a page that the next connection needs. */
export function leftPageOf({ dialect, unwanted, opened, viewing, socketIds }: StoredPage): Omit<LeftSession, 'groups'> {
  return { dialect, unwanted, opened, socketIds, ...(viewing === undefined ? {} : { viewing }) };
}

export function createLeftSessions(
  io: RelayServer,
  deps: {
    offsets: Offsets;
    marks: Pick<Marks, 'last'>;
    deliveries: Pick<Deliveries, 'positionAt'>;
    fanOut: Pick<FanOut, 'cursor'>;
    heartbeat: Pick<Heartbeat, 'provenOf'>;
  },
  now: () => number = () => performance.now(),
): LeftSessions {
  const { offsets, marks, deliveries, fanOut } = deps;
  const { sockets } = io.of('/');
  const left = new Map<string, KeptSession>();
  const ofUsers = new Map<string, Set<string>>();
  /** Connections that have the session of an earlier one. All others have one that is named after them. */
  const heirs = new Map<string, string>();
  let groupCount = 0;

  function drop(sessionId: string): void {
    const session = left.get(sessionId);
    if (!session) return;
    left.delete(sessionId);
    groupCount -= entriesOf(session);
    const own = ofUsers.get(session.userId);
    own?.delete(sessionId);
    if (own?.size === 0) ofUsers.delete(session.userId);
  }

  function prune(): void {
    const oldest = now() - SESSION_WINDOW_MS;
    // In the order in which they went.
    for (const [sessionId, { at }] of left) {
      if (at > oldest && left.size <= MAX_SESSIONS && groupCount <= MAX_GROUPS) return;
      // In time it ends by itself.
      if (at > oldest) left.get(sessionId)?.copy?.end();
      drop(sessionId);
    }
  }

  function keep(sessionId: string, session: KeptSession): void {
    left.set(sessionId, session);
    groupCount += entriesOf(session);
    const own = ofUsers.get(session.userId) ?? new Set();
    ofUsers.set(session.userId, own.add(sessionId));
    const [oldest] = own;
    if (own.size > MAX_OF_USER && oldest !== undefined) {
      left.get(oldest)?.copy?.end();
      drop(oldest);
    }
    prune();
  }

  function holderOf(sessionId: string): UserSocket | undefined {
    const named = sessionId.startsWith(offsets.prefix) ? sessionId.slice(offsets.prefix.length) : '';
    const socket = sockets.get(heirs.get(sessionId) ?? named);
    return socket && isUserSocket(socket) && sessionIdOf(socket) === sessionId ? socket : undefined;
  }

  /** Takes the session from the connection that has it, and forgets what was kept of it. */
  function retire(sessionId: string): UserSocket | undefined {
    const holder = holderOf(sessionId);
    if (holder) (holder as unknown as WithSessionId).pid = undefined;
    // The connection that has it from now on has another copy.
    holder?.data.session.copy?.end();
    left.get(sessionId)?.copy?.end();
    heirs.delete(sessionId);
    drop(sessionId);
    return holder;
  }

  function sessionOf(socket: UserSocket): KeptSession {
    const groups = new Map<string, LeftGroup>();
    for (const [groupId, { since }] of socket.data.session.groups) {
      // A join that has not been carried out has not been answered either: the page joins again.
      if (Number.isFinite(since)) groups.set(groupId, { since, cursor: fanOut.cursor(groupId) });
    }
    const proven = deps.heartbeat.provenOf(socket).upTo;
    const { comeback, copy } = socket.data.session;
    const came = comeback && { ...comeback };
    return { ...pageOf(socket), at: now(), number: marks.last, groups, proven, comeback: came, copy };
  }

  function find({ userId, sessionId, offset }: AskedSession): LeftSession | undefined {
    prune();
    const holder = holderOf(sessionId);
    const session = holder ? sessionOf(holder) : left.get(sessionId);
    if (session?.userId !== userId) return undefined;
    const read = readSoFar(session, offset === undefined ? undefined : offsets.read(offset), offset);
    if (!read) return undefined;
    const groups: LeftSession['groups'] = [];
    for (const [groupId, { since, cursor }] of session.groups) {
      // A group that it has joined since it came back is as it joined it.
      const known = since > (session.comeback?.number ?? 0) ? undefined : read.positions.get(groupId);
      const position =
        known === undefined
          ? deliveries.positionAt(groupId, { read: read.number, since, left: session.number })
          : known;
      if (position === 'unknown') return undefined;
      groups.push([groupId, position === 'unmoved' ? cursor : position]);
    }
    return { ...leftPageOf(session), groups };
  }

  return {
    name(socket, sessionId) {
      (socket as unknown as WithSessionId).pid = sessionId ?? offsets.prefix + socket.id;
    },
    takeOver(socket) {
      const sessionId = sessionIdOf(socket);
      if (sessionId === undefined || sessionId === offsets.prefix + socket.id) return undefined;
      const holder = retire(sessionId);
      heirs.set(sessionId, socket.id);
      return holder;
    },
    leaving(socket, comesBack) {
      const sessionId = sessionIdOf(socket);
      if (sessionId === undefined) return;
      if (heirs.get(sessionId) === socket.id) heirs.delete(sessionId);
      drop(sessionId);
      const { copy } = socket.data.session;
      if (comesBack) copy?.gone();
      else copy?.end();
      if (comesBack) keep(sessionId, sessionOf(socket));
    },
    find,
    handOver(asked) {
      const found = find(asked);
      if (found) retire(asked.sessionId)?.conn.close();
      return found;
    },
  };
}
