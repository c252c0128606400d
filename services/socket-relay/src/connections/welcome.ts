import { nativeDialect } from '@groupcast/dialects';
import { GroupcastError, MONITOR_ROOM, type MonitorSnapshot, parseId, toErrorBody, userRoom } from '@groupcast/shared';
import { refusalOf } from '@groupcast/tokens';
import type { DisconnectReason } from 'socket.io';
import { createWelcomeBack } from '../comebacks/welcome-back.ts';
import { letGoOfHandshake } from '../engine/idle-cost.ts';
import type { GroupEntry } from '../membership/group-entry.ts';
import { noteUnknownGroups, noteWithoutGroups } from '../membership/group-problems.ts';
import type { Removals } from '../membership/removals.ts';
import { type UndecidedClaims } from '../membership/undecided-claims.ts';
import type { Notices } from '../monitor/notices.ts';
import { createRateLimit } from '../sessions/rate-limit.ts';
import { isUserSocket, type RelayServer, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import { endSession } from '../sessions/session-ending.ts';
import type { SessionExpiry } from '../sessions/session-expiry.ts';
import { transportName } from '../sessions/transport.ts';
import { dialectOf, joinsByItself } from '../sessions/voices.ts';
import type { SlowConsumers } from '../slow-consumers/slow-consumers.ts';
import type { LastSeen } from '../upstream/last-seen.ts';
import { type CheckInDeps, createCheckIn } from './check-in.ts';
import { countedReason } from './disconnect-reasons.ts';
import { createEventRouter, type EventHandler } from './event-router.ts';
import type { ServiceHandlers } from './service-events.ts';
import type { ServiceState } from './service-state.ts';
import type { UserHandlers } from './user-events.ts';

export interface WelcomeDeps extends CheckInDeps {
  io: RelayServer;
  removals: Removals;
  expiry: SessionExpiry;
  slowConsumers: SlowConsumers;
  undecided: UndecidedClaims;
  entry: GroupEntry;
  handlers: UserHandlers;
  /** Returns the handler of an event that is for the back end alone. */
  forwarding: (event: string) => EventHandler<UserSocket> | undefined;
  services: ServiceHandlers;
  notices: Notices;
  hasApi: boolean;
  /** Without an API nobody keeps when users were last seen. */
  lastSeen: LastSeen | undefined;
  serviceState: ServiceState;
  /** Returns the connections of other relays, for monitors. */
  otherNodes: () => Promise<MonitorSnapshot[]>;
}

/** Codes of refused events that are reported in the log and to monitors. */
const TOLD: ReadonlySet<string> = new Set([
  'UNKNOWN_EVENT',
  'FORBIDDEN_EVENT',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'SERVICE_TOKEN_INVALID',
]);

/** Further codes that are reported where the client speaks a dialect. */
const TOLD_FOR_DIALECTS: ReadonlySet<string> = new Set(['NOT_A_MEMBER', 'INVALID_PAYLOAD', 'GROUP_LIMIT']);

/** Commands that are joins, or take one back, and wait for none. */
const JOINS_AND_LEAVES: ReadonlySet<string> = new Set(['join-group', 'open-group', 'resume', 'leave-group']);

/** Lets connections in: first the check-in tells who they are, then handlers by kind of session do what they may ask. */
export function welcomeConnections(deps: WelcomeDeps): void {
  const { io, metrics, monitor, log, limits } = deps;
  io.use(createCheckIn(deps));
  const welcomeBack = createWelcomeBack(deps);

  /** Reports the mistake of a programmer, or of the signer of tokens: the client may not have asked for an answer. */
  function noteRefusal(
    socket: RelaySocket,
    event: string,
    { code, message, error }: { code: string; message: string; error: unknown },
  ): void {
    const { session } = socket.data;
    const who = session.kind === 'user' ? { userId: session.userId } : {};
    const refusal = refusalOf(error);
    const ofEvent = code === 'NOT_A_MEMBER' ? message : event;
    const name = code.startsWith('TOKEN_') ? (refusal?.fault ?? '') : ofEvent;
    const why = refusal ? ` (${refusal.message})` : '';
    deps.notices({ topic: code, name, code, message: `event refused: ${message}${why}`, socketId: socket.id, ...who });
  }

  function onFailure(socket: RelaySocket, event: string, error: unknown): void {
    const { code, message, details } = toErrorBody(error);
    metrics.eventsRefused.inc({ code });
    // A group that is spelled in another way is a mistake of a programmer; one of others is none. A page that speaks a dialect asks for no
    // answer, and nobody would know.
    const isUnheard = dialectOf(socket) !== nativeDialect() && TOLD_FOR_DIALECTS.has(code);
    if (TOLD.has(code) || isUnheard || (code === 'NOT_A_MEMBER' && details?.['hint'] !== undefined))
      noteRefusal(socket, event, { code, message, error });
    log.debug({ socketId: socket.id, event: event.slice(0, 64), code }, 'event refused');
  }

  const routeUserEvents = createEventRouter<UserSocket>({
    isTranslated: true,
    handlersOf: () => deps.handlers,
    otherwise: deps.forwarding,
    // A page that opens a conversation and says something in it sends both at once, and has joined in its own eyes.
    before({ data }, { command, payload }) {
      if (!data.session.joining || JOINS_AND_LEAVES.has(command)) return undefined;
      const groupId = parseId((payload as { groupId?: unknown } | null | undefined)?.groupId);
      return groupId === undefined ? undefined : deps.entry.joinsUnderWay(data.session, groupId);
    },
    guard({ data: { session } }, event) {
      session.rate ??= createRateLimit(limits.eventsPerSecond);
      session.rate.take();
      deps.budgets.of(session.userId).takeWork(1);
      if (event.startsWith('api-')) {
        throw new GroupcastError(
          'FORBIDDEN_EVENT',
          `unable to accept "${event.slice(0, 64)}"; it needs a connection of type api`,
        );
      }
    },
    onFailure,
    log,
  });
  const routeServiceEvents = createEventRouter<RelaySocket>({
    isTranslated: false,
    handlersOf: (socket) => deps.services.handlersFor(socket),
    guard: () => undefined,
    onFailure,
    log,
  });

  function welcomeUser(socket: UserSocket): void {
    const { session, decision } = socket.data;
    const { userId } = session;
    if (deps.removals.isRevoked(userId, session.claims.issuedAt)) {
      // The token was revoked while the handshake was under way.
      const message = 'the token was revoked, log in again';
      endSession(socket, { code: 'TOKEN_REVOKED', message, next: 'stop', retryAfterMs: 0 });
      return;
    }
    socket.data.decision = undefined;
    void socket.join(userRoom(userId));
    const back = decision?.back;
    welcomeBack.keepWhenGone(socket, back);
    if (back) welcomeBack.takeOver(socket, back);
    const unwanted = new Set(back?.found.unwanted);
    const isStill = (groupId: string): boolean =>
      !unwanted.has(groupId) && !deps.removals.removedSince(groupId, userId, decision?.removalVersion ?? 0);
    const admitted = (decision?.admitted ?? []).filter(isStill);
    const ofBackEnd = (decision?.known ?? []).filter(isStill);
    const known = ofBackEnd.slice(0, limits.groups);
    monitor.publish({
      kind: 'connected',
      socketId: socket.id,
      userId,
      transport: transportName(socket.conn),
      groups: [...admitted, ...known],
    });
    deps.entry.grant(socket, admitted, 'token');
    const named = joinsByItself(socket) ? session.claims.groups : [];
    deps.entry.tellLimit(socket, [...named, ...ofBackEnd].slice(limits.groups));
    // The token does not know of these additions yet.
    const additions = joinsByItself(socket) ? deps.removals.addedSince(userId, session.claims.issuedAt) : [];
    // The first of those that were added makes room first.
    const added = deps.entry.grant(socket, [...known.toReversed(), ...additions], 'added');
    const live = [...new Set([...admitted, ...added])].filter((groupId) => session.groups.has(groupId));
    if (back) welcomeBack.showAgain(socket, back);
    deps.undecided.add(socket);
    if (!deps.hasApi && session.claims.groups.length === 0) noteWithoutGroups(deps.notices, userId, socket.id);
    else if (decision && !decision.known) noteUnknownGroups(deps.notices, userId, socket.id);
    deps.lastSeen?.seen(socket);
    deps.serviceState.welcome(socket);
    routeUserEvents(socket);
    const announced = back
      ? welcomeBack.announce(socket, live, back)
      : deps.entry.announce(socket, live, decision?.positions);
    announced.catch((error: unknown) => {
      log.error({ err: error, socketId: socket.id }, 'unable to announce the groups of a connection');
      socket.conn.close();
    });
  }

  function roleOf({ data: { session } }: RelaySocket): string {
    return session.kind === 'user' ? 'user' : session.role;
  }

  function sayGoodbye(socket: RelaySocket, reason: DisconnectReason): void {
    const type = roleOf(socket);
    metrics.connections.dec({ type });
    metrics.disconnects.inc({ type, reason: countedReason(socket.data.ended, reason) });
    deps.expiry.forget(socket);
    deps.slowConsumers.forget(socket);
    if (isUserSocket(socket)) {
      const { userId } = socket.data.session;
      monitor.publish({ kind: 'disconnected', socketId: socket.id, userId, reason });
      const { ended: code, session } = socket.data;
      const { upTo: provenUpTo } = deps.heartbeat.provenOf(socket);
      deps.departures.left(userId, { code, reason, socketId: socket.id, groups: session.groups, provenUpTo });
      deps.entry.gone(socket);
      deps.lastSeen?.seen(socket);
    }
    log.debug({ socketId: socket.id, reason }, 'disconnected');
    // A client that left the namespace but kept the connection would hold it, without a session, for ever.
    setImmediate(() => socket.conn.close());
  }

  /** The listener is the same for all connections. */
  function onDisconnect(this: RelaySocket, reason: DisconnectReason): void {
    sayGoodbye(this, reason);
  }

  io.on('connection', (socket) => {
    const { session } = socket.data;
    const role = roleOf(socket);
    metrics.connections.inc({ type: role });
    deps.intake.admit(socket);
    deps.expiry.watch(socket);
    deps.slowConsumers.watch(socket);
    deps.heartbeat.watch(socket);
    socket.on('disconnect', onDisconnect);
    if (isUserSocket(socket)) {
      welcomeUser(socket);
      letGoOfHandshake(socket);
      return;
    }
    log.info(
      { socketId: socket.id, type: role, subject: session.kind === 'service' && session.claims.subject },
      'service connected',
    );
    deps.serviceState.welcome(socket);
    routeServiceEvents(socket);
    if (role === 'monitor') {
      void socket.join(MONITOR_ROOM);
      socket.emit('monitor-snapshot', monitor.snapshot());
      deps.otherNodes().then(
        (snapshots) => snapshots.forEach((snapshot) => socket.emit('monitor-snapshot', snapshot)),
        (error: unknown) => log.warn({ err: error }, 'unable to show a monitor the other relays'),
      );
    }
  });
}
