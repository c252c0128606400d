import {
  type ConnectionLimit,
  connectionBudget,
  createConnectionLimit,
  type HttpApp,
  type Logger,
  logKeyProblems,
  warnOnceEvery,
} from '@groupcast/service-kit';
import { AUDIENCE } from '@groupcast/shared';
import { createServiceTokenVerifier, createUserTokenVerifier, type UserTokenVerifier } from '@groupcast/tokens';
import { bodyBytesOf, createApiApp } from './app.ts';
import type { ApiConfig } from './config.ts';
import type { LiveReads } from './cursors/live-reads.ts';
import type { WatchedDatabase } from './db/watched-database.ts';
import type { GroupDeps } from './groups/group-changes.ts';
import { createProbes } from './http/health-routes.ts';
import { createRelayTurns } from './http/request-turns.ts';
import type { SaveQueue } from './messages/save-queue.ts';
import type { ApiMetrics } from './metrics.ts';
import type { RelayPort } from './outbox/relay-connection.ts';
import { createInternalApp } from './relay-facing/internal-app.ts';
import { createRelayProxy, type RelayProxy } from './relay-proxy/relay-proxy.ts';
import type { OwnOutbox } from './tracing/outbox-hop.ts';
import { createUserStore } from './users/user-store.ts';

/** Files that the embedded database has open, about ninety, and those that it may want more. */
const DATABASE_FILES = 256;

/** Paths of the relay's public port that the API's serves with `API_RELAY_PROXY`, beside that of the raw door. */
const RELAY_PATHS = ['/socket.io/'];
const BROADCAST_API_PATH = '/v1/';

export interface PortDeps {
  config: ApiConfig;
  db: WatchedDatabase;
  groups: GroupDeps;
  saves: SaveQueue;
  relay: RelayPort;
  liveReads: Pick<LiveReads, 'add'>;
  /** The outbox as this process knows it. */
  own: OwnOutbox;
  metrics: ApiMetrics;
  isDraining: () => boolean;
  log: Logger;
}

/** Callers whose tokens are remembered, 4 kB each at most: those who ask often. */
const REMEMBERED_TOKENS = 2_000;

/** The user tokens that both services accept. What is wrong with keys and with the groups of a token is in the log. */
function createUserTokens({ config, metrics, log }: PortDeps): UserTokenVerifier {
  const warn = warnOnceEvery(60_000);
  const userTokens = createUserTokenVerifier({
    ...config.tokens,
    rememberedTokens: REMEMBERED_TOKENS,
    onKeyProblem: logKeyProblems(log),
    onGroupProblem({ kind, ...problem }) {
      // The API keeps members itself, and what an identity provider calls groups means nothing to it.
      if (kind !== 'invalid') return;
      warn('groups', (suppressed) => {
        log.warn({ ...problem, suppressed }, 'a token names groups that are not ids: they are left out');
      });
    },
  });
  metrics.watchKeys(userTokens.staleKeysSeconds);
  return userTokens;
}

/** The part of the public port's connections that may be passed on to the relay. Each has another one there: a fifth is left for the API. */
const PROXIED_PART = 2 / 5;

interface Limits extends Record<'public' | 'internal', ConnectionLimit> {
  /** Most connections that are passed on to the relay. */
  proxied: number;
}

/** How many connections each port may have. */
function createLimits({ config, db, metrics, log }: PortDeps): Limits {
  const all = connectionBudget(config.maxConnections, { files: db.kind === 'embedded' ? DATABASE_FILES : 0 });
  const proxied = config.relayProxy ? Math.max(1, Math.floor(all.public * PROXIED_PART)) : 0;
  const budget = { ...all, public: all.public - proxied };
  const limitOf = (port: 'public' | 'internal'): ConnectionLimit => {
    const limit = createConnectionLimit({
      max: budget[port],
      port,
      log,
      onRefused: () => metrics.connectionsRefused.inc({ port }),
      onClosed: (reason) => metrics.connectionsClosed.inc({ port, reason }),
    });
    metrics.watchConnections(port, limit);
    return limit;
  };
  return { public: limitOf('public'), internal: limitOf('internal'), proxied };
}

/** Both ports with all their routes. They listen nowhere yet, and ask nothing of the database before somebody asks them. */
export async function createPorts(
  deps: PortDeps,
): Promise<{ app: HttpApp; internal: HttpApp; relayProxy: RelayProxy | undefined }> {
  const { config, db, groups, saves, relay, liveReads, own, metrics, isDraining, log } = deps;
  const limits = createLimits(deps);
  metrics.watchRelay(() => relay.connected);
  const shared = {
    config,
    db,
    relay,
    serviceTokens: createServiceTokenVerifier({
      ...config.relaySecrets,
      clockSkewSeconds: config.tokens.clockSkewSeconds,
      audience: AUDIENCE.api,
    }),
    metrics,
    probes: createProbes({ db, isDraining, isRelayed: () => relay.connected }),
    relayTurns: createRelayTurns(),
    log,
  };
  const { relayUrl, relayWsPath, publicBroadcastApi, drainMs } = config;
  const paths = [
    ...RELAY_PATHS,
    ...(relayWsPath === undefined ? [] : [relayWsPath]),
    ...(publicBroadcastApi ? [BROADCAST_API_PATH] : []),
  ];
  const relayProxy = config.relayProxy
    ? createRelayProxy(
        { metrics, log, settle: (socket) => limits.public.settle(socket) },
        { relayUrl, paths, plainPaths: [BROADCAST_API_PATH], max: limits.proxied, drainMs },
      )
    : undefined;
  const { app, clientEvents } = await createApiApp({
    ...shared,
    groups,
    saves,
    liveReads,
    own,
    users: createUserStore(db),
    userTokens: createUserTokens(deps),
    connections: limits.public,
    relayProxy,
  });
  const internal = await createInternalApp({
    ...shared,
    clientEvents,
    eventBytes: bodyBytesOf(config),
    connections: limits.internal,
  });
  return { app, internal, relayProxy };
}
