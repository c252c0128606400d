import { setTimeout } from 'node:timers/promises';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError, MONITOR_ROOM, type MonitorSnapshot, toErrorBody, userRoom } from '@groupcast/shared';
import { refusalOf } from '@groupcast/tokens';
import type { DisconnectReason } from 'socket.io';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { letGoOfHandshake } from '../engine/idle-cost.ts';
import { holdTurn } from '../engine/web-socket-transport.ts';
import type { Membership } from '../membership/authorisation.ts';
import type { GroupEntry } from '../membership/group-entry.ts';
import { noteWithoutGroups } from '../membership/group-problems.ts';
import type { Removals } from '../membership/removals.ts';
import { setOfUndecided, type UndecidedClaims } from '../membership/undecided-claims.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { Notices } from '../monitor/notices.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import { createRateLimit } from '../sessions/rate-limit.ts';
import { isUserSocket, type RelayServer, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import { endSession } from '../sessions/session-ending.ts';
import type { SessionExpiry } from '../sessions/session-expiry.ts';
import { GROUPS_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import type { SlowConsumers } from '../slow-consumers/slow-consumers.ts';
import type { Authenticator } from './authenticate.ts';
import { closeForNowLater } from './come-back-later.ts';
import { createEventRouter } from './event-router.ts';
import type { ConnectionIntake } from './intake.ts';
import { createOneConnect } from './one-connect.ts';
import type { ServiceHandlers } from './service-events.ts';
import type { ServiceState } from './service-state.ts';
import type { UserHandlers } from './user-events.ts';

export interface WelcomeDeps {
  io: RelayServer;
  authenticator: Authenticator;
  membership: Membership;
  removals: Removals;
  expiry: SessionExpiry;
  slowConsumers: SlowConsumers;
  heartbeat: Heartbeat;
  intake: ConnectionIntake;
  budgets: UserBudgets;
  undecided: UndecidedClaims;
  entry: GroupEntry;
  handlers: UserHandlers;
  services: ServiceHandlers;
  connections: ConnectionIndex;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
  /** False while this relay is cut off from the others, who have stopped counting on it. */
  isTrusted: () => boolean;
  notices: Notices;
  hasApi: boolean;
  serviceState: ServiceState;
  /** What monitors are shown of other relays. */
  otherNodes: () => Promise<MonitorSnapshot[]>;
  limits: { groups: number; connectionsPerUser: number; eventsPerSecond: number };
}

/** A client that is refused because this relay is cut off, or the user has too many connections, comes back after this, in milliseconds. */
const UNTRUSTED_RETRY_MS = 1_000;
const TOO_MANY_RETRY_MS = 2_000;

/** Refusals of events that are said in the log and to monitors. */
const TOLD: ReadonlySet<string> = new Set([
  'UNKNOWN_EVENT',
  'FORBIDDEN_EVENT',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'SERVICE_TOKEN_INVALID',
]);

/** Longest that a handshake waits for its user's budget, in milliseconds; a client gives up after 20 s. */
const MAX_WORK_WAIT_MS = 3_000;

/** The way in: who are you (middleware), then what you may do (handlers by kind of session). */
export function welcomeConnections(deps: WelcomeDeps): void {
  const { io, metrics, monitor, log, limits } = deps;
  const oneConnect = createOneConnect();
  const warn = warnOnceEvery(60_000);

  /** A user who comes back again and again with many groups waits, and is refused where it would take too long. */
  async function waitForWork(userId: string, units: number): Promise<void> {
    const waitMs = deps.budgets.of(userId).reserveWork(units, MAX_WORK_WAIT_MS);
    if (waitMs === undefined) {
      throw new GroupcastError('RATE_LIMITED', 'unable to connect; the user connects too often with this many groups', {
        retryAfterMs: MAX_WORK_WAIT_MS,
      });
    }
    if (waitMs > 0) await setTimeout(waitMs);
  }

  async function checkIn(socket: RelaySocket): Promise<void> {
    const session = await deps.authenticator.handshake(socket);
    socket.data.session = session;
    if (session.kind !== 'user') return;
    if (!deps.isTrusted()) {
      throw new GroupcastError('BROKER_UNAVAILABLE', 'unable to connect; this relay cannot reach the others', {
        retryAfterMs: UNTRUSTED_RETRY_MS,
      });
    }
    if (deps.connections.countOfUser(session.userId) >= limits.connectionsPerUser) {
      throw new GroupcastError(
        'TOO_MANY_CONNECTIONS',
        `unable to connect; a user may have ${limits.connectionsPerUser} connections`,
        { retryAfterMs: TOO_MANY_RETRY_MS },
      );
    }
    const positions = deps.authenticator.positions(socket);
    // A token may name more than fit: the first ones are the most active.
    const named = session.claims.groups.slice(0, limits.groups);
    const units = Math.floor((named.length + positions.size) / GROUPS_PER_UNIT);
    if (units > 0) await waitForWork(session.userId, units);
    const decision = await deps.membership.decideClaims(session.claims, named);
    session.undecided = setOfUndecided(decision.undecided);
    socket.data.decision = { ...decision, positions };
  }

  io.use((socket, next) => {
    if (!oneConnect.enter(socket)) {
      next(new Error('one CONNECT per connection'));
      return;
    }
    deps.heartbeat.expect(socket);
    deps.intake.checking(socket);
    checkIn(socket).then(
      () => {
        // The answer and the groups, which follow mostly in the same turn, are one write.
        holdTurn(socket.conn);
        next();
      },
      (error: unknown) => {
        if (!(error instanceof GroupcastError)) log.error({ err: error }, 'handshake failed');
        const body = toErrorBody(error);
        metrics.refused.inc({ code: body.code });
        monitor.publish({ kind: 'refused', code: body.code, message: body.message });
        const refusal = refusalOf(error);
        warn(`${body.code} ${refusal?.fault ?? ''}`, (suppressed) => {
          const { address } = socket.handshake;
          const why = refusal ? { fault: refusal.fault, reason: refusal.message } : {};
          log.warn({ code: body.code, ...why, address, suppressed }, `connection refused: ${body.message}`);
        });
        const refused = Object.assign(new Error(body.message), { data: body });
        if (body.retryable) {
          // Another CONNECT meanwhile would end it as well.
          closeForNowLater(socket.conn, body, () => next(refused));
          return;
        }
        oneConnect.refused(socket);
        deps.intake.refused(socket);
        next(refused);
      },
    );
  });

  /** What a programmer has got wrong, or whoever makes tokens: the client may not have asked for an answer. */
  function noteRefusal(
    socket: RelaySocket,
    event: string,
    { code, message, error }: { code: string; message: string; error: unknown },
  ): void {
    const { session } = socket.data;
    const who = session.kind === 'user' ? { userId: session.userId } : {};
    const refusal = refusalOf(error);
    const name = code.startsWith('TOKEN_') ? (refusal?.fault ?? '') : event;
    const why = refusal ? ` (${refusal.message})` : '';
    deps.notices({ topic: code, name, code, message: `event refused: ${message}${why}`, socketId: socket.id, ...who });
  }

  function onFailure(socket: RelaySocket, event: string, error: unknown): void {
    const { code, message } = toErrorBody(error);
    metrics.eventsRefused.inc({ code });
    if (TOLD.has(code)) noteRefusal(socket, event, { code, message, error });
    log.debug({ socketId: socket.id, event: event.slice(0, 64), code }, 'event refused');
  }

  const routeUserEvents = createEventRouter<UserSocket>({
    handlersOf: () => deps.handlers,
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
    handlersOf: (socket) => deps.services.handlersFor(socket),
    guard: () => undefined,
    onFailure,
    log,
  });

  function welcomeUser(socket: UserSocket): void {
    const { session, decision } = socket.data;
    const { userId } = session;
    socket.data.decision = undefined;
    if (deps.removals.isRevoked(userId, session.claims.issuedAt)) {
      // Revoked while the handshake was under way.
      const message = 'the token was revoked, log in again';
      endSession(socket, { code: 'TOKEN_REVOKED', message, next: 'stop', retryAfterMs: 0 });
      return;
    }
    void socket.join(userRoom(userId));
    const admitted = (decision?.admitted ?? []).filter(
      (groupId) => !deps.removals.removedSince(groupId, userId, decision?.removalVersion ?? 0),
    );
    monitor.publish({
      kind: 'connected',
      socketId: socket.id,
      userId,
      transport: socket.conn.transport.name,
      groups: admitted,
    });
    deps.entry.grant(socket, admitted, 'token');
    deps.entry.tellLimit(socket, session.claims.groups.slice(limits.groups));
    // Additions that the token does not know of yet.
    const added = deps.entry.grant(socket, deps.removals.addedSince(userId, session.claims.issuedAt), 'added');
    const live = [...new Set([...admitted, ...added])].filter((groupId) => session.groups.has(groupId));
    deps.undecided.add(socket);
    if (!deps.hasApi && session.claims.groups.length === 0) noteWithoutGroups(deps.notices, userId, socket.id);
    deps.serviceState.welcome(socket);
    routeUserEvents(socket);
    deps.entry.announce(socket, live, decision?.positions).catch((error: unknown) => {
      log.error({ err: error, socketId: socket.id }, 'unable to announce the groups of a connection');
      socket.conn.close();
    });
  }

  function roleOf({ data: { session } }: RelaySocket): string {
    return session.kind === 'user' ? 'user' : session.role;
  }

  function sayGoodbye(socket: RelaySocket, reason: DisconnectReason): void {
    metrics.connections.dec({ type: roleOf(socket) });
    deps.expiry.forget(socket);
    deps.slowConsumers.forget(socket);
    if (isUserSocket(socket)) {
      const { userId } = socket.data.session;
      monitor.publish({ kind: 'disconnected', socketId: socket.id, userId, reason });
      deps.entry.gone(socket);
    }
    log.debug({ socketId: socket.id, reason }, 'disconnected');
    // A client that left the namespace but kept the connection would hold it, without a session, for ever.
    setImmediate(() => socket.conn.close());
  }

  /** All connections have the same listener. */
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
