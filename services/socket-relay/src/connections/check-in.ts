import { setTimeout } from 'node:timers/promises';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError, toErrorBody } from '@groupcast/shared';
import { ownerOfOldToken, refusalOf } from '@groupcast/tokens';
import type { ExtendedError } from 'socket.io';
import type { Comebacks } from '../comebacks/comebacks.ts';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { holdTurn } from '../engine/web-socket-transport.ts';
import type { ClaimDecision, Membership } from '../membership/authorisation.ts';
import { setOfUndecided } from '../membership/undecided-claims.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { PreparedComeback } from '../sessions/comeback.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { Departures } from '../sessions/departures.ts';
import type { RelaySocket, SocketData, UserSocket } from '../sessions/session.ts';
import { GROUPS_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import { joinsByItself } from '../sessions/voices.ts';
import type { Authenticator } from './authenticate.ts';
import { closeForNowLater } from './come-back-later.ts';
import type { ConnectionIntake } from './intake.ts';
import { createOneConnect } from './one-connect.ts';

export interface CheckInDeps {
  authenticator: Authenticator;
  comebacks: Comebacks;
  membership: Membership;
  connections: ConnectionIndex;
  heartbeat: Heartbeat;
  intake: ConnectionIntake;
  budgets: UserBudgets;
  monitor: MonitorFeed;
  /** Remembers who was refused, and why. */
  departures: Departures;
  metrics: RelayMetrics;
  log: Logger;
  /** False while this relay is cut off from the others, who have stopped counting on it. */
  isTrusted: () => boolean;
  limits: { groups: number; connectionsPerUser: number; eventsPerSecond: number };
}

/** How long a client waits that is refused because this relay is cut off, or because the user has too many connections, in milliseconds. */
const UNTRUSTED_RETRY_MS = 1_000;
const TOO_MANY_RETRY_MS = 2_000;

/** Longest a handshake may wait for its user's budget, in milliseconds. A client gives up after 20 s. */
const MAX_WORK_WAIT_MS = 3_000;

/** Tells whose connection was refused, where its token still says so. */
function ownerOf(socket: RelaySocket, error: unknown): string | undefined {
  const { session }: Partial<SocketData> = socket.data;
  return session?.kind === 'user' ? session.userId : ownerOfOldToken(error);
}

/** Whether it says to be a back end or a monitor, which is no user whom anybody misses. */
function isOfService({ handshake }: RelaySocket): boolean {
  const { type } = handshake.auth as Record<string, unknown>;
  return type === 'api' || type === 'monitor';
}

/**
 * The middleware of Socket.IO that every connection passes: who it is, and which of its token's groups it may be in. A connection that is
 * refused is told why; the log and the monitor are as well.
 */
export function createCheckIn(deps: CheckInDeps): (socket: RelaySocket, next: (error?: ExtendedError) => void) => void {
  const { metrics, monitor, log, limits } = deps;
  const oneConnect = createOneConnect();
  const warn = warnOnceEvery(60_000);

  /** Makes a user wait who comes back again and again with many groups, and refuses it if that would take too long. */
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
    const { claims, userId, dialect } = session;
    // A token may name more groups than fit: the first ones are the most active.
    const named = joinsByItself(socket) ? claims.groups.slice(0, limits.groups) : [];
    const units = Math.floor((named.length + positions.size) / GROUPS_PER_UNIT);
    if (units > 0) await waitForWork(userId, units);
    const decision = await deps.membership.decideClaims(claims, named);
    session.undecided = setOfUndecided(decision.undecided);
    const known = dialect?.groups === 'back-end' && named.length === 0 ? await deps.membership.groupsOf(userId) : [];
    const more = Math.floor(Math.min(known?.length ?? 0, limits.groups) / GROUPS_PER_UNIT);
    if (more > 0) await waitForWork(userId, more);
    const back = await comeBack(socket as UserSocket, { ...decision, known: known ?? [] });
    socket.data.decision = { ...decision, known, positions, back };
  }

  /** Gives a stock client the session that it asks for, if everything that it has missed can be had, or a new one. */
  async function comeBack(
    socket: UserSocket,
    decision: ClaimDecision & { known: readonly string[] },
  ): Promise<PreparedComeback | undefined> {
    const { comebacks } = deps;
    if (!comebacks.isFor(socket)) return undefined;
    const asked = await comebacks.find(socket);
    const units = Math.floor((asked?.found.groups.length ?? 0) / GROUPS_PER_UNIT);
    if (units > 0) await waitForWork(socket.data.session.userId, units);
    const back = asked && (await comebacks.prepare(socket, asked, decision));
    comebacks.sessions.name(socket, back?.sessionId);
    return back;
  }

  /** Lets go of what was prepared for a connection that has gone meanwhile. */
  function letGoOf({ data }: RelaySocket): void {
    data.decision?.back?.commit('', () => false);
    data.decision = undefined;
  }

  return (socket, next) => {
    if (!oneConnect.enter(socket)) {
      next(new Error('one CONNECT per connection'));
      return;
    }
    deps.heartbeat.expect(socket);
    deps.intake.checking(socket);
    checkIn(socket).then(
      () => {
        // The answer and the groups, which follow mostly in the same turn, leave with one write.
        holdTurn(socket.conn);
        next();
        // By then it is welcomed, if it is still there.
        if (socket.data.decision?.back) setImmediate(letGoOf, socket);
      },
      (error: unknown) => {
        if (!(error instanceof GroupcastError)) log.error({ err: error }, 'handshake failed');
        const body = toErrorBody(error);
        metrics.refused.inc({ code: body.code });
        const userId = ownerOf(socket, error);
        if (userId !== undefined) deps.departures.refused(userId, body);
        else if (!isOfService(socket)) deps.departures.refusedUnknown(body);
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
  };
}
