import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type Closable, createStopStack, type Logger, type StopStack, TimedOut, within } from '@groupcast/service-kit';
import { createGateway } from './broadcast/gateway.ts';
import { createThrottle } from './broadcast/throttle.ts';
import { type Canary, createCanary } from './canary/canary.ts';
import type { Cluster } from './cluster/cluster.ts';
import { openCluster } from './cluster/open-cluster.ts';
import { openSessionStore } from './cluster/open-session-store.ts';
import { createComebacks } from './comebacks/comebacks.ts';
import type { RelayConfig } from './config.ts';
import { createAuthenticator } from './connections/authenticate.ts';
import { createBackEndSignIn } from './connections/back-end-sign-in.ts';
import { createConnectionLimits } from './connections/connection-limits.ts';
import { createForwarding } from './connections/forwarded-events.ts';
import { createConnectionIntake } from './connections/intake.ts';
import { createServiceHandlers } from './connections/service-events.ts';
import { keepServiceState } from './connections/service-state.ts';
import { createStrangers } from './connections/strangers.ts';
import { createTokenVerifiers } from './connections/token-verifiers.ts';
import { createUserHandlers } from './connections/user-events.ts';
import { welcomeConnections } from './connections/welcome.ts';
import { createConversation } from './conversation/conversation.ts';
import { startProofs } from './conversation/proofs.ts';
import { createDrain, type Drain } from './drain/drain.ts';
import { drainOfAll, drainOfOne } from './drain/machine-drain.ts';
import { refuseWhileDraining } from './drain/refuse-while-draining.ts';
import { createReturns } from './drain/returned-users.ts';
import { createHeartbeat } from './engine/heartbeat.ts';
import { createBatchingSender } from './fan-out/batching-sender.ts';
import { createDeliveries, type Deliveries } from './fan-out/deliveries.ts';
import type { FanOut } from './fan-out/fan-out.ts';
import { createLocalFanOut } from './fan-out/local-fan-out.ts';
import { createStockSender, type Sender } from './fan-out/sender.ts';
import { traceFanOut } from './fan-out/traced-fan-out.ts';
import { watchUnsaid } from './fan-out/unsaid-events.ts';
import { startGroupHeads } from './feed/group-heads.ts';
import { createHistoryReader } from './group-log/history.ts';
import { createInternalApp } from './internal-http/internal-app.ts';
import { healthOfAll, healthOfOne } from './internal-http/machine-health.ts';
import { createReadiness, type Readiness } from './internal-http/readiness.ts';
import type { Endpoint } from './ipc/endpoint.ts';
import type { WorkerContext } from './ipc/worker-context.ts';
import { createMembership } from './membership/authorisation.ts';
import { createMembershipConfirmation } from './membership/confirm-memberships.ts';
import { createGroupEntry } from './membership/group-entry.ts';
import { createMemberChanges } from './membership/member-changes.ts';
import { hintAtGroup } from './membership/near-misses.ts';
import { createRecovery } from './membership/recovery.ts';
import { createRemovals } from './membership/removals.ts';
import { createUndecidedClaims } from './membership/undecided-claims.ts';
import { createRelayMetrics, type RelayMetrics } from './metrics/relay-metrics.ts';
import { createMonitorFeed, type MonitorFeed } from './monitor/monitor-feed.ts';
import { createNotices, type Notices, rememberRefusals } from './monitor/notices.ts';
import { createAllNodes } from './monitor-page/all-nodes.ts';
import { createNodeState } from './monitor-page/node-state.ts';
import { createPageSessions, pageSessionsOfAll } from './monitor-page/page-sessions.ts';
import { streamMonitorEvents } from './monitor-page/watch-nodes.ts';
import { openPorts, type Started, stopPorts } from './ports.ts';
import { createPresence, type Presence } from './presence/presence.ts';
import { createBriefReadiness } from './public-http/brief-readiness.ts';
import { createPublicApi } from './public-http/public-api.ts';
import { announceListening, createPublicServer } from './public-server.ts';
import { createConnectionIndex } from './sessions/connection-index.ts';
import { createDepartures } from './sessions/departures.ts';
import { createMarks, type Marks } from './sessions/marks.ts';
import { createOffsets, type Offsets } from './sessions/offsets.ts';
import type { RelayServer } from './sessions/session.ts';
import { createSessionExpiry } from './sessions/session-expiry.ts';
import { createUserBudgets } from './sessions/user-budgets.ts';
import { createSlowConsumers, type SlowConsumers } from './slow-consumers/slow-consumers.ts';
import { createTracing } from './tracing/tracing.ts';
import { createCursorForwarder } from './upstream/cursor-forwarder.ts';
import { openUpstream } from './upstream/upstream.ts';

/** How long the others may take to hear that this relay leaves, in milliseconds. Only how soon they know depends on it. */
const LEAVE_WITHIN_MS = 1_000;

export interface Relay extends Closable {
  port: number;
  internalPort: number;
}

/**
 * Builds a relay and opens its two ports. Throws if one of them is taken, leaving nothing open. With a `worker` it is one of several
 * that share them.
 */
export async function startRelay(config: RelayConfig, log: Logger, worker?: WorkerContext): Promise<Relay> {
  const started: Started = { stops: createStopStack(), parts: createStopStack() };
  try {
    return await buildRelay({ config, log, worker }, started);
  } catch (error) {
    for (const stack of [started.stops, started.parts]) {
      await stack.stop().catch((failure: unknown) => log.error({ err: failure }, 'unable to stop what was started'));
    }
    throw error;
  }
}

/** Builds the parts in the order in which they depend on each other: none refers to a later one. */
async function buildRelay(
  { config, log, worker }: { config: RelayConfig; log: Logger; worker: WorkerContext | undefined },
  { stops, parts }: Started,
): Promise<Relay> {
  // Two relays may have the same process id in two containers of one name.
  const node = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
  const { maxGroupsPerConnection: maxGroups, clientEventsPerSecond: eventsPerSecond } = config;
  const hasApi = config.apiUrl !== undefined;
  const metrics = createRelayMetrics();
  metrics.live.set(1);
  const monitor = createMonitorFeed(node);
  const departures = createDepartures();
  const notices = rememberRefusals(createNotices({ log, publish: (event) => monitor.publish(event) }), departures);

  // The public port
  const budgets = createUserBudgets(eventsPerSecond);
  parts.push(() => budgets.stop());
  const intake = createConnectionIntake({ budgets, metrics, notices, log }, { maxGroups, eventsPerSecond });
  parts.push(() => intake.stop());
  const limits = createConnectionLimits({ intake, monitor, metrics, log }, config);
  const strangers = createStrangers({ notices, metrics }, config);
  const publicServer = createPublicServer({ config, worker, intake, limits, strangers, notices, metrics });
  const { io } = publicServer;
  monitor.attach(io);
  const drain = createDrain({ io, drainMs: config.drainMs, log });
  refuseWhileDraining(io, { drain, metrics });

  // The way out
  const wayOut = openWayOut(config, { io, monitor, notices, metrics, log }, parts);
  const { slowConsumers, sender, fanOut, deliveries } = wayOut;

  // The other relays
  const cluster = await openCluster({ config, node, worker, fanOut, monitor, metrics, log });
  const { groupLog, feed, leases } = cluster;
  stops.push(() => cluster.stop());
  const store = openSessionStore(cluster, wayOut, stops);
  stops.push(async () => groupLog.close());
  stops.push(() => feed.stop());
  /** Whether no other relay has stopped counting on this one: then it knows who may see which group. */
  const isTrusted = leases.held;
  metrics.watchLog(() => groupLog.stats());
  const presence = createPresence({ io, store: cluster.presence, log });
  stops.push(async () => leave(presence, cluster));
  const { api, fill, lastSeen } = openUpstream(config, { io, groupLog, monitor, metrics, log }, parts);
  const { canary, readiness } = openReadiness(config, { node, cluster, fanOut, drain, api, metrics, log }, parts);
  stops.push(() => readiness.stop());

  // The way in: removals, tokens and their ends
  const removals = createRemovals({
    memoryMs: config.removalMemoryMs,
    maxEntries: config.removalMemoryEntries,
    clockSkewSeconds: config.tokens.clockSkewSeconds,
    log,
  });
  parts.push(() => removals.stop());
  const { users, services } = createTokenVerifiers({ config, notices, metrics, log });
  const signIn = config.authBy === 'back-end' && api ? createBackEndSignIn({ api, notices }, config) : undefined;
  const authenticator = createAuthenticator({ users, services, removals, maxGroups, signIn, ...config });
  const expiry = createSessionExpiry();
  parts.push(() => expiry.stop());
  const heartbeat = createHeartbeat(config.ping, (socket) => sender.handedUpTo(socket));
  parts.push(() => heartbeat.stop());

  // Membership
  const membership = createMembership({ api, apiUrl: config.apiUrl, removals, isTrusted, notices, log });
  const recovery = createRecovery({ groupLog, feed, fanOut, deliveries, fill, isTrusted, metrics, log });
  const returns = createReturns({ node, drain, requests: cluster.otherMachines });
  const forComebacks = { ...wayOut, ...cluster, store, heartbeat, membership, recovery, metrics, maxGroups, log };
  const comebacks = createComebacks(io, forComebacks);
  const entry = createGroupEntry({
    membership,
    removals,
    recovery,
    monitor,
    presence,
    departures,
    ...wayOut,
    log,
    onRecovered: returns.recovered,
    logLevel: config.production ? 'debug' : 'info',
    isTrusted,
    budgets,
    maxGroups,
  });
  const undecided = createUndecidedClaims({ membership, removals, entry, monitor, log });
  parts.push(() => undecided.stop());
  const connections = createConnectionIndex(io);
  const changes = createMemberChanges({ io, connections, entry, removals, presence, expiry, log });
  const confirmation = createMembershipConfirmation({ io, membership, hasApi, entry, leases, log });
  const relays = await cluster.followChanges({
    changes,
    onBirth(second) {
      removals.reachesBackTo(second);
      confirmation.changesWereLost();
    },
  });
  leases.beforeTrust(async () => confirmation.confirm());
  const serviceState = keepServiceState({ io, monitor, metrics, log, leases, catchUp: async () => feed.settleAll() });

  // Events without a position, for members who are there now
  const shown = { ...cluster, io, node, isTrusted, sender, presence, budgets, metrics };
  const conversation = createConversation({ ...shown, monitor, log, config });
  parts.push(() => conversation.stop());

  // The events that back ends and browsers may send
  const heads = startGroupHeads({ fanOut, groupLog, isTrusted, log });
  parts.push(() => heads.stop());
  const throttle = createThrottle({ lagMs: sender.lagMs, maxLagMs: config.fanOutMaxLagMs, metrics, log });
  parts.push(() => throttle.stop());
  const history = createHistoryReader(groupLog);
  const hintAt = (groupId: string): string | undefined => hintAtGroup(groupId, (other) => fanOut.memberCount(other));
  const connected = { heartbeat, undecided, connections, departures };
  const tracing = createTracing({ ...shown, ...wayOut, ...connected, hintAt });
  const gateway = createGateway({
    groupLog,
    feed,
    fanOut,
    relays,
    showCursors: conversation.showCursors,
    undecided,
    throttle,
    ...tracing,
    monitor,
    metrics,
    log,
    maxPayloadBytes: config.maxPayloadBytes,
    broadcastLogLevel: config.production ? 'debug' : 'info',
  });
  const cursors = api && createCursorForwarder({ api, onStored: conversation.cursorsStored, log });
  parts.push(async () => cursors?.stop());
  if (cursors) parts.push(startProofs({ io, sender, fanOut, deliveries, heartbeat, cursors, metrics }));
  const wayIn = { authenticator, membership, removals, expiry, undecided, entry, budgets, comebacks };
  const handlers = createUserHandlers({
    ...wayIn,
    presence,
    maxGroups,
    cursors,
    api,
    metrics,
    sender,
    fanOut,
    ...conversation,
    isTrusted,
  });
  welcomeConnections({
    io,
    ...wayIn,
    slowConsumers,
    heartbeat,
    intake,
    handlers,
    lastSeen,
    forwarding: createForwarding({ api, metrics }, config.forwardEvents),
    services: createServiceHandlers({ gateway, history, presence, ...tracing, authenticator, expiry }),
    connections,
    departures,
    monitor,
    metrics,
    log,
    isTrusted,
    serviceState,
    notices,
    hasApi,
    otherNodes: async () => cluster.openMonitorLink(),
    limits: { groups: maxGroups, connectionsPerUser: config.maxConnectionsPerUser, eventsPerSecond },
  });

  // The internal port
  const { primary } = worker ?? {};
  const page = openMonitorPage({ io, node, cluster, metrics, monitor, report: readiness.report, primary, log }, parts);
  const health = primary ? healthOfAll(readiness, metrics.registry, primary) : healthOfOne(readiness, metrics.registry);
  const forPublishers = { gateway, history, presence, ...tracing, services, metrics, log };
  const internal = await createInternalApp({
    page,
    ...config,
    ...forPublishers,
    connections: limits.internal,
    node,
    groupLogKind: cluster.groupLogKind,
    connectionCount: () => io.of('/').sockets.size,
    drain: primary ? drainOfAll(drain, returns, primary) : drainOfOne(drain, returns),
    health,
  });
  const broadcastApi = config.publicApi.isOn
    ? await createPublicApi({ ...forPublishers, connections: limits.public, notices }, config)
    : undefined;
  stops.push(async () => broadcastApi?.close());
  publicServer.answerWith({ readiness: createBriefReadiness(health), broadcastApi });

  const listening = stopPorts({ stops, parts }, { internal, publicServer, drain, worker });

  // Removals wait for every relay that has a lease: earlier removals have been read by now, and later ones are answered.
  await leases.start();
  canary.start();
  const ports = await openPorts(publicServer, internal, { config, listening });
  if (worker) log.info({ node }, 'a worker is ready');
  else announceListening(config, ports, log);
  return { ...ports, close: async () => stops.stop() };
}

/** Knows whether this relay should be given work. */
function openReadiness(
  config: RelayConfig,
  deps: {
    node: string;
    cluster: Cluster;
    fanOut: FanOut;
    drain: Drain;
    api: { isFailing(): boolean } | undefined;
    metrics: RelayMetrics;
    log: Logger;
  },
  parts: StopStack,
): { canary: Canary; readiness: Readiness } {
  const { cluster, drain, api } = deps;
  const canary = createCanary(deps, config.canary);
  parts.push(() => canary.stop());
  const readiness = createReadiness({
    isDraining: () => drain.active,
    failingCluster: () => cluster.failing(),
    isBackEndFailing: () => api?.isFailing() === true,
    canary: () => canary.verdict(),
  });
  return { canary, readiness };
}

/** The page for operators, and the metric of this relay's health: where it is shown, and to whom. */
function openMonitorPage(
  deps: Parameters<typeof createNodeState>[0] & {
    cluster: Cluster;
    monitor: MonitorFeed;
    primary: Endpoint | undefined;
    log: Logger;
  },
  parts: StopStack,
): Parameters<typeof createInternalApp>[0]['page'] {
  const { node, cluster, monitor, primary, log } = deps;
  deps.metrics.watchReadiness(deps.report);
  const own = createNodeState(deps);
  parts.push(() => own.stop());
  const sessions = primary ? pageSessionsOfAll(primary) : createPageSessions();
  const nodes = createAllNodes({ node, own, monitor, others: cluster.otherNodes });
  const streams = streamMonitorEvents({
    monitor,
    nodes,
    sessions,
    openLink: async () => cluster.openMonitorLink(),
    log,
  });
  parts.push(() => streams.stop());
  return { sessions, nodes, streams };
}

/** How events leave this relay. */
function openWayOut(
  config: RelayConfig,
  deps: { io: RelayServer; monitor: MonitorFeed; notices: Notices; metrics: RelayMetrics; log: Logger },
  parts: StopStack,
): {
  slowConsumers: SlowConsumers;
  sender: Sender;
  fanOut: FanOut;
  deliveries: Deliveries;
  marks: Marks;
  offsets: Offsets;
  hasOffsets: boolean;
} {
  const slowConsumers = createSlowConsumers({ ...deps, maxBufferedBytes: config.maxBufferedBytes });
  parts.push(() => slowConsumers.stop());
  const { io } = deps;
  watchUnsaid(io, deps);
  const marks = createMarks();
  const offsets = createOffsets();
  const deliveries = createDeliveries(marks);
  const sender =
    config.fanOut === 'stock'
      ? createStockSender(io, marks)
      : createBatchingSender(io, { ...deps, slowConsumers, marks, offsets });
  const fanOut = createLocalFanOut(io, { sender, deliveries, marks }, config.dialects.usual?.noun);
  const isTraced = config.tracing.otlpUrl !== undefined;
  const hasOffsets = config.fanOut !== 'stock';
  return {
    slowConsumers,
    sender,
    fanOut: isTraced ? traceFanOut(fanOut) : fanOut,
    deliveries,
    marks,
    offsets,
    hasOffsets,
  };
}

/** Leaves the other relays, and waits for them no longer than a moment. */
async function leave(presence: Presence, cluster: Cluster): Promise<void> {
  try {
    await within(LEAVE_WITHIN_MS, Promise.all([presence.stop(), cluster.leave()]), 'the other relays');
  } catch (error) {
    if (!(error instanceof TimedOut)) throw error;
  }
}
