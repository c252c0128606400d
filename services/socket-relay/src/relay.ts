import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import {
  type Closable,
  corsOptions,
  createBoundedServer,
  doorOf,
  type Listening,
  type Logger,
  listenOn,
  logKeyProblems,
  readLittleOf,
  urlOfHost,
} from '@groupcast/service-kit';
import { AUDIENCE, GroupcastError } from '@groupcast/shared';
import { createServiceTokenVerifier, createUserTokenVerifier } from '@groupcast/tokens';
import { Server } from 'socket.io';
import { createAdmission } from './broadcast/admission.ts';
import { createGateway } from './broadcast/gateway.ts';
import { createHistoryReader } from './broadcast/history.ts';
import { createMemberChanges } from './broadcast/member-changes.ts';
import { createServiceDoor } from './broadcast/service-door.ts';
import type { Broker } from './cluster/broker.ts';
import { joinCluster } from './cluster/join-cluster.ts';
import { openBusBroker } from './cluster/local-bus/bus-broker.ts';
import { createMonitorLink } from './cluster/monitor-link.ts';
import { openRedisBroker } from './cluster/redis-broker.ts';
import { createManyRelays, createSingleRelay } from './cluster/relays.ts';
import type { RelayConfig } from './config.ts';
import { createAuthenticator } from './connections/authenticate.ts';
import { createMembershipConfirmation } from './connections/confirm-memberships.ts';
import { createConnectionIndex } from './connections/connection-index.ts';
import { createConnectionLimits, settleConnections } from './connections/connection-limits.ts';
import { createDrain } from './connections/drain.ts';
import { refuseWhileDraining } from './connections/draining-gate.ts';
import { createGroupEntry } from './connections/group-entry.ts';
import { noteGroupProblem } from './connections/group-problems.ts';
import { createConnectionIntake } from './connections/intake.ts';
import { createMembership } from './connections/membership.ts';
import { createNotices } from './connections/notices.ts';
import { createOriginGate } from './connections/origin-gate.ts';
import { createRecovery } from './connections/recovery.ts';
import { createRemovals } from './connections/removals.ts';
import { createReturns } from './connections/returns.ts';
import { keepServiceState } from './connections/service-state.ts';
import { createSessionExpiry } from './connections/session-expiry.ts';
import { nameSessions, sessionOf } from './connections/session-header.ts';
import { createSlowConsumers } from './connections/slow-consumers.ts';
import { createStrangers } from './connections/strangers.ts';
import { createUndecidedClaims } from './connections/undecided-claims.ts';
import { createUserBudgets } from './connections/user-budgets.ts';
import { createUserHandlers } from './connections/user-events.ts';
import { welcomeConnections } from './connections/welcome.ts';
import { createHeartbeat } from './engine/heartbeat.ts';
import { RoomAdapter } from './engine/room-adapter.ts';
import { answerUpgradesInOneWrite, useWebSocketTransport } from './engine/web-socket-transport.ts';
import { createGatheringSender } from './fan-out/gathering-sender.ts';
import { createLocalFeed } from './fan-out/group-feed.ts';
import { startGroupHeads } from './fan-out/group-heads.ts';
import { createLocalFanOut } from './fan-out/local-fan-out.ts';
import { createStockSender } from './fan-out/sender.ts';
import { createMemoryGroupLog } from './group-log/memory-group-log.ts';
import { createInternalApp } from './internal-http/internal-app.ts';
import { createReadiness } from './internal-http/readiness.ts';
import { createRelayMetrics } from './metrics.ts';
import { createMonitorFeed } from './monitor/monitor-feed.ts';
import { createPresence, type Presence } from './presence/presence.ts';
import { createMemoryPresenceStore } from './presence/presence-store.ts';
import type { RelayServer } from './relay-server.ts';
import { createApiClient } from './upstream/api-client.ts';
import { createCursorForwarder } from './upstream/cursor-forwarder.ts';
import { createHistoryFill } from './upstream/history-fill.ts';
import { drainOfAll, drainOfOne } from './workers/machine-drain.ts';
import type { WorkerPlace } from './workers/place.ts';
import { makeSessionId } from './workers/session-door.ts';

/** Socket.IO closes what has not authenticated by then, in milliseconds. The intake does so before, and knows what is being checked. */
const AUTHENTICATION_TIMEOUT_MS = 20_000;
/** Air around the largest message in one packet: the envelope, the event's name, a batch. */
const MIN_PACKET_BYTES = 1_000_000;
const PACKET_OVERHEAD_BYTES = 65_536;
/** A wire that is still there so long after the drain is cut: its peer has no session, or does not answer. */
const CLOSE_ALL_AFTER_MS = 1_000;
/** What the relays share is told that this one leaves, and not waited for longer: nothing depends on it but how soon the others know. */
const LEAVE_WITHIN_MS = 1_000;
/** How long it takes until some relay finds that changes were lost: a few times as long as they wait for the next one. */
const LOSS_FOUND_WITHIN_MS = 60_000;
/** What the API is asked for, per group, to fill an empty log. */
const MAX_FILL_EVENTS = 1_000;

export interface Relay extends Closable {
  port: number;
  internalPort: number;
}

/** What the public port answers beside Socket.IO. */
function answerPublic(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.split('?')[0] ?? '';
  if (request.method === 'GET' && (path === '/' || path === '/livez')) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('Groupcast relay is running\n');
    return;
  }
  const why = doorOf(path, 'relay') ?? 'the relay speaks Socket.IO at /socket.io/';
  const error = new GroupcastError('NOT_FOUND', `unable to serve the request; ${why}`);
  response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ error: error.toBody() }));
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Says once for the whole machine where it can be reached. */
export function announceListening(
  config: RelayConfig,
  { port, internalPort }: { port: number; internalPort: number },
  log: Logger,
): void {
  log.info(
    { url: urlOfHost(config.host, port), internalUrl: urlOfHost(config.internalHost, internalPort), host: config.host },
    'listening',
  );
}

/**
 * Builds a relay and opens its two ports. Throws when one of them is taken, leaving nothing open. With a `place` it is one of
 * several that share them.
 */
export async function startRelay(config: RelayConfig, log: Logger, place?: WorkerPlace): Promise<Relay> {
  // Two relays may have the same process id in two containers of one name.
  const node = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;

  async function openBroker(): Promise<Broker | undefined> {
    const target = config.redis;
    if (target) return openRedisBroker({ target, node, config, metrics, seen: fanOut.cursor, log });
    return place && openBusBroker({ primary: place.primary, node, metrics, log });
  }

  /** No other relay has stopped counting on this one: it knows who may see what. */
  const isTrusted = (): boolean => cluster?.leases.held() !== false;

  const metrics = createRelayMetrics();
  const notices = createNotices({ log, publish: (event) => monitor.publish(event) });
  metrics.live.set(1);
  const onFull = (message: string): void => monitor.publish({ kind: 'warning', code: 'TOO_MANY_CONNECTIONS', message });
  const isWaiting = (request: IncomingMessage): boolean => intake.isUnauthenticated(sessionOf(request) ?? '');
  const limits = createConnectionLimits({ metrics, log, isWaiting, onFull }, config);
  const strangers = createStrangers({ notices, metrics });
  const http = createBoundedServer({}, (request, response) => {
    answerPublic(request, response);
    if (response.statusCode === 404) strangers.note(request);
  });
  readLittleOf(http);
  useWebSocketTransport();
  const budgets = createUserBudgets(config.clientEventsPerSecond);
  const intake = createConnectionIntake(
    { budgets, metrics, notices, log },
    { maxGroups: config.maxGroupsPerConnection, eventsPerSecond: config.clientEventsPerSecond },
  );
  const io: RelayServer = new Server(http, {
    serveClient: false,
    parser: intake.parser,
    adapter: RoomAdapter,
    connectTimeout: AUTHENTICATION_TIMEOUT_MS,
    pingInterval: config.ping.intervalMs,
    pingTimeout: config.ping.timeoutMs,
    maxHttpBufferSize: Math.max(MIN_PACKET_BYTES, config.maxPayloadBytes + PACKET_OVERHEAD_BYTES),
    cors: corsOptions(config.origins),
    allowRequest: createOriginGate({ origins: config.origins, metrics, notices }),
  });

  answerUpgradesInOneWrite(io.engine);
  strangers.watch(io, http);
  // Behind Engine.IO, which takes all listeners of its server away and hands them what is not its own.
  if (!place) limits.public.guard(http);
  const drain = createDrain({ io, drainMs: config.drainMs, log });
  refuseWhileDraining(io, { drain, metrics });
  settleConnections(io, limits.public);
  const door = place?.openDoor(http, limits.public);
  nameSessions(io, place && (() => makeSessionId(place.worker)));
  const { clockSkewSeconds } = config.tokens;
  const removals = createRemovals({
    memoryMs: config.removalMemoryMs,
    maxEntries: config.removalMemoryEntries,
    clockSkewSeconds,
    log,
  });
  const services = createServiceTokenVerifier({ ...config.relaySecrets, clockSkewSeconds, audience: AUDIENCE.relay });
  const users = createUserTokenVerifier({
    ...config.tokens,
    onKeyProblem: logKeyProblems(log),
    onGroupProblem: (problem) => noteGroupProblem(notices, problem, config.apiUrl !== undefined),
  });
  metrics.watchKeys(users.staleKeysSeconds);
  const authenticator = createAuthenticator({
    users,
    services,
    removals,
    maxGroups: config.maxGroupsPerConnection,
  });
  const api = config.apiUrl
    ? createApiClient({
        apiUrl: config.apiUrl,
        secret: config.relaySecrets.secret,
        fillEvents: Math.min(MAX_FILL_EVENTS, config.history.size),
      })
    : undefined;
  const connections = createConnectionIndex(io);
  const monitor = createMonitorFeed(io, node);
  const membership = createMembership({ api, apiUrl: config.apiUrl, removals, isTrusted, notices, log });
  intake.attach(io);
  const slowConsumers = createSlowConsumers({ maxBufferedBytes: config.maxBufferedBytes, monitor, metrics, log });
  const sender =
    config.fanOut === 'stock' ? createStockSender(io) : createGatheringSender(io, { slowConsumers, metrics, log });
  const fanOut = createLocalFanOut(io, sender);
  const broker = await openBroker();
  const cluster =
    broker &&
    (await joinCluster({
      broker,
      node,
      leaseMs: config.leaseMs,
      fanOut,
      metrics,
      hasMonitors: monitor.isWatched,
      onPresence: (groupId) => presence.changed(groupId),
      log,
    }));
  const presence: Presence = createPresence({ io, store: cluster?.presence ?? createMemoryPresenceStore(), log });
  const groupLog = broker?.groupLog ?? createMemoryGroupLog(config.history);
  const feed = cluster?.feed ?? createLocalFeed(fanOut);
  metrics.watchLog(groupLog);
  const expiry = createSessionExpiry();
  const heartbeat = createHeartbeat(config.ping);
  const fill = api && createHistoryFill({ api, groupLog, log });
  const recovery = createRecovery({ groupLog, feed, fanOut, fill, isTrusted, log });
  const cursors = api && createCursorForwarder({ api, log });
  // Without Redis nobody else is there to come back to.
  const returns = createReturns({ node, drain, requests: config.redis && cluster?.requests });
  const entry = createGroupEntry({
    membership,
    removals,
    recovery,
    monitor,
    presence,
    log,
    onRecovered: returns.recovered,
    isTrusted,
    budgets,
    maxGroups: config.maxGroupsPerConnection,
  });
  const undecided = createUndecidedClaims({ membership, removals, entry, monitor, log });
  const handlers = createUserHandlers({
    entry,
    membership,
    removals,
    authenticator,
    expiry,
    undecided,
    presence,
    budgets,
    maxGroups: config.maxGroupsPerConnection,
    cursors,
  });
  const heads = startGroupHeads({ fanOut, groupLog, isTrusted, log });
  const history = createHistoryReader(groupLog);
  let regainedAt = Number.NEGATIVE_INFINITY;
  let hadLease = false;
  cluster?.leases.onChange((held) => {
    if (held && hadLease) regainedAt = performance.now();
    hadLease ||= held;
  });
  const confirmation = createMembershipConfirmation({ io, membership, hasApi: api !== undefined, entry, log });
  const changes = createMemberChanges({ io, connections, entry, removals, presence, expiry, log });
  const changeLog =
    broker &&
    (await broker.startChangeLog({
      onBirth(second) {
        removals.reachesBackTo(second);
        // With a lease, every removal was answered by this relay too: nothing that was lost since is news. It may take
        // others a while to find out what was lost before.
        const isNews = !isTrusted() || performance.now() - regainedAt < LOSS_FOUND_WITHIN_MS;
        if (isNews) confirmation.isDue();
        if (isNews && isTrusted()) void confirmation.confirm();
      },
      remember: ({ change, second }) => changes.remember(change, second),
      carryOut: async ({ change, second }) => changes.carryOut(change, second),
      log,
    }));
  const relays =
    cluster && changeLog ? createManyRelays({ changes, changeLog, ...cluster }) : createSingleRelay(changes);
  const monitorLink = cluster && createMonitorLink({ monitor, log, ...cluster });
  if (changeLog) cluster?.leases.beforeTrust(async () => changeLog.caughtUp());
  cluster?.leases.beforeTrust(async () => confirmation.confirm());
  const serviceState =
    cluster &&
    keepServiceState({ io, monitor, metrics, log, leases: cluster.leases, catchUp: async () => feed.settleAll() });
  const admission = createAdmission({
    lagMs: sender.lagMs,
    maxLagMs: config.fanOutMaxLagMs,
    registry: metrics.registry,
    log,
  });
  const gateway = createGateway({
    groupLog,
    feed,
    fanOut,
    relays,
    undecided,
    admission,
    monitor,
    metrics,
    log,
    maxPayloadBytes: config.maxPayloadBytes,
    broadcastLogLevel: config.production ? 'debug' : 'info',
  });
  welcomeConnections({
    io,
    authenticator,
    membership,
    removals,
    expiry,
    slowConsumers,
    heartbeat,
    intake,
    budgets,
    undecided,
    entry,
    handlers,
    services: createServiceDoor({ gateway, history, presence, authenticator, expiry }),
    connections,
    monitor,
    metrics,
    log,
    isTrusted,
    serviceState,
    notices,
    hasApi: config.apiUrl !== undefined,
    otherNodes: async () => (await monitorLink?.open()) ?? [],
    limits: {
      groups: config.maxGroupsPerConnection,
      connectionsPerUser: config.maxConnectionsPerUser,
      eventsPerSecond: config.clientEventsPerSecond,
    },
  });
  const readiness = createReadiness({
    isDraining: () => drain.active,
    failingCluster: () => cluster?.failing() ?? [],
  });
  place?.primary.answer('failing', readiness.failing);
  place?.primary.answer('metrics', async () => metrics.registry.getMetricsAsJSON());
  const internal = await createInternalApp({
    gateway,
    history,
    presence,
    services,
    metrics,
    connections: limits.internal,
    node,
    internalHost: config.internalHost,
    internalNames: config.internalNames,
    maxPayloadBytes: config.maxPayloadBytes,
    groupLogKind: broker?.groupLogKind ?? 'memory',
    connectionCount: () => io.of('/').sockets.size,
    drain: place ? drainOfAll(drain, returns, place.primary) : drainOfOne(drain, returns),
    failing: async () =>
      place ? place.primary.ask<string[]>('machine-failing').catch(() => ['workers']) : readiness.failing(),
    metricsText: async () => (place ? place.primary.ask('machine-metrics') : metrics.registry.metrics()),
    log,
  });

  const listening: Listening[] = [];

  /** The others wait for an answer from whoever has a lease, so that is the first thing to go. */
  async function leave(): Promise<void> {
    await cluster?.leave();
    await changeLog?.stop();
  }

  async function close(): Promise<void> {
    // Polling clients need the port to the end; the gate refuses new connections meanwhile.
    await drain.finish();
    await place?.allDrained();
    admission.stop();
    undecided.stop();
    heads.stop();
    await cursors?.stop();
    expiry.stop();
    slowConsumers.stop();
    heartbeat.stop();
    intake.stop();
    budgets.stop();
    removals.stop();
    for (const each of listening) each.close();
    await door?.close();
    // Node's own closeAllConnections leaves WebSockets alone, and one whose peer is frozen closes after half a minute.
    const rest = setTimeout(() => {
      for (const wire of limits.public.sockets) wire.destroy();
    }, CLOSE_ALL_AFTER_MS);
    await io.close();
    clearTimeout(rest);
    await internal.close();
    readiness.stop();
    await within(LEAVE_WITHIN_MS, Promise.all([presence.stop(), leave()]));
    feed.stop();
    await groupLog.close();
    cluster?.stop();
  }

  try {
    // Last, because removals wait for whoever has a lease: what was removed before is read, what is removed from now on answered.
    await cluster?.leases.start();
    const at = { host: config.host, port: config.port };
    listening.push(await (door?.listen(at) ?? listenOn(http, at)));
    await internal.ready();
    const internalAt = { host: config.internalHost, port: config.internalPort };
    listening.push(await listenOn(internal.server, internalAt, async (where) => internal.listen(where)));
    const [port = 0, internalPort = 0] = listening.map((each) => each.port);
    if (place) log.info({ node }, 'a worker is ready');
    else announceListening(config, { port, internalPort }, log);
    return { port, internalPort, close };
  } catch (error) {
    await close();
    throw error;
  }
}
