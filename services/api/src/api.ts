import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createBroadcaster } from '@groupcast/broadcaster';
import {
  type Closable,
  type ConnectionLimit,
  connectionBudget,
  createConnectionLimit,
  createStopStack,
  type HttpApp,
  type Logger,
  listenOn,
  logKeyProblems,
  StartFailure,
  urlOfHost,
  warnOnceEvery,
} from '@groupcast/service-kit';
import { AUDIENCE, GroupcastError } from '@groupcast/shared';
import { createServiceTokenVerifier, createUserTokenVerifier } from '@groupcast/tokens';
import { createApiApp } from './app.ts';
import type { ApiConfig } from './config.ts';
import { reasonOf, rootCodeOf } from './db/database-errors.ts';
import { openEmbeddedDatabase } from './db/embedded-database.ts';
import { migrate } from './db/migrate.ts';
import { openPostgresDatabase } from './db/postgres-database.ts';
import { watchDatabase } from './db/watched-database.ts';
import { openLobby } from './demo/demo-routes.ts';
import { createGroupLimits } from './groups/group-limits.ts';
import { createProbes } from './http/health-routes.ts';
import { createRelayTurns } from './http/request-turns.ts';
import { createApiMetrics } from './metrics.ts';
import { createDispatcher, type Dispatcher } from './outbox/dispatcher.ts';
import { createOutboxStore, createOutboxWriter } from './outbox/outbox-store.ts';
import { createRelayClient } from './outbox/relay-client.ts';
import { createOutboxWakeUp } from './outbox/wake-up.ts';
import { createInternalApp } from './relay-facing/internal-app.ts';
import { createUserStore } from './users/user-store.ts';

/** A process that dies holds its groups this long. Longer than one call to the relay may take. */
const LEASE_MS = 6_000;
const RELAY_TIMEOUT_MS = 2_500;
const POLL_MS = 1_000;
const CONCURRENT_GROUPS = 32;
/** The embedded database has about ninety files open, and may want more. */
const DATABASE_FILES = 256;

/** What the relay says is wrong with the API's service token decides who has to look where. */
function adviceFor({ code, details }: GroupcastError): string {
  const fault = details?.['fault'];
  if (fault === 'iat' || fault === 'nbf' || fault === 'exp') return 'compare the clocks of the two machines';
  if (code !== 'SERVICE_TOKEN_INVALID') return 'see its reason';
  return 'compare RELAY_SERVICE_SECRET on both sides';
}

export interface Api extends Closable {
  port: number;
  internalPort: number;
}

/** In one line, where it is the database's: a server that is not there, a password, a right that is missing. */
function explain(error: unknown): never {
  const code = rootCodeOf(error);
  // The driver has no code for a host that does not answer, and for one that does not encrypt.
  if (code === '' && !(error instanceof GroupcastError && error.code === 'API_UNAVAILABLE')) throw error;
  const why = `${reasonOf(error)} (${code === '' ? '' : `${code}; `}check DATABASE_URL)`;
  throw new StartFailure(`unable to bring the database up to date; ${why}`, { cause: error });
}

/** Builds the API, brings its database up to date and opens its two ports. Throws when it cannot, leaving nothing open. */
export async function startApi(config: ApiConfig, log: Logger): Promise<Api> {
  const name = `${hostname()}-${process.pid}`;
  const warn = warnOnceEvery(60_000);
  const stops = createStopStack();

  try {
    const opened = config.databaseUrl
      ? openPostgresDatabase(config.databaseUrl, log, {
          listenUrl: config.databaseListenUrl,
          preparedStatements: config.preparedStatements,
        })
      : await openEmbeddedDatabase(config.dataDir, log);
    stops.push(async () => opened.close());
    const db = watchDatabase(opened, log);
    const migrations = await migrate(opened).catch(explain);
    if (migrations.length > 0) log.info({ migrations, database: db.kind }, 'database migrated');

    const store = createOutboxStore(db, { owner: `${name}-${randomUUID().slice(0, 8)}`, leaseMs: LEASE_MS });
    if (db.kind === 'embedded') await store.clearLeases();
    const metrics = createApiMetrics(
      () => store.backlog(),
      () => db.queryCount(),
    );
    let dispatcher: Dispatcher | undefined;
    const broadcaster = createBroadcaster({
      url: config.relayUrl,
      serviceSecret: config.relaySecrets.secret,
      name: `api-${name}`,
      timeoutMs: RELAY_TIMEOUT_MS,
      onStateChange(state) {
        if (state.name === 'connected') {
          log.info({ relayUrl: config.relayUrl }, 'connected to the relay');
          dispatcher?.wake();
        } else if (state.name === 'refused') {
          warn('refused', (suppressed) => {
            log.error(
              { err: state.error, relayUrl: config.relayUrl, suppressed },
              `the relay refuses this API: ${adviceFor(state.error)}`,
            );
          });
        } else if (state.name === 'unreachable') {
          warn('unreachable', (suppressed) => {
            log.warn(
              { reason: state.error.message, relayUrl: config.relayUrl, suppressed },
              'the relay cannot be reached: messages are saved, and will be relayed; check RELAY_URL if this lasts',
            );
          });
        } else if (state.name === 'disconnected') {
          log.warn(
            { relayUrl: config.relayUrl },
            'lost the relay: messages are saved, and will be relayed when it is back',
          );
        }
      },
    });
    stops.push(async () => broadcaster.close());
    dispatcher = createDispatcher({
      store,
      relay: createRelayClient(broadcaster),
      metrics,
      log,
      leaseMs: LEASE_MS,
      pollMs: POLL_MS,
      concurrency: CONCURRENT_GROUPS,
    });
    const local = dispatcher;
    stops.push(async () => local.stop());
    const wakeUp = await createOutboxWakeUp({ db, dispatcher: local, relay: broadcaster, log });
    stops.push(async () => wakeUp.stop());
    const waking: Dispatcher = { ...local, wake: wakeUp.wake };
    const groups = {
      db,
      dispatcher: waking,
      outbox: createOutboxWriter(config.maxPayloadBytes),
      invites: config.groupInvites,
      limits: createGroupLimits(
        { log, onRefused: (bound) => metrics.groupsLimited.inc({ bound }) },
        config.groupBounds,
      ),
    };
    if (config.demo) await openLobby(groups);

    const userTokens = createUserTokenVerifier({
      ...config.tokens,
      onKeyProblem: logKeyProblems(log),
      onGroupProblem({ kind, ...problem }) {
        // The API keeps members itself, and what an identity provider calls groups is nothing to it.
        if (kind !== 'invalid') return;
        warn('groups', (suppressed) => {
          log.warn({ ...problem, suppressed }, 'a token names groups that are no ids: they are left out');
        });
      },
    });
    metrics.watchKeys(userTokens.staleKeysSeconds);
    const budget = connectionBudget(config.maxConnections, { files: db.kind === 'embedded' ? DATABASE_FILES : 0 });
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
    const shared = {
      config,
      db,
      serviceTokens: createServiceTokenVerifier({
        ...config.relaySecrets,
        clockSkewSeconds: config.tokens.clockSkewSeconds,
        audience: AUDIENCE.api,
      }),
      metrics,
      probes: createProbes({ db, isDraining: () => stops.isStopping }),
      relayTurns: createRelayTurns(),
      log,
    };
    // It stops last: `/readyz` says why the public port is gone, and relays that are told of this one are served to the end.
    const internal = await createInternalApp({ ...shared, connections: limitOf('internal') });
    stops.push(async () => internal.close());
    const app = await createApiApp({
      ...shared,
      groups,
      users: createUserStore(db),
      userTokens,
      connections: limitOf('public'),
    });
    stops.push(async () => app.close());

    const { host, internalHost, relayUrl } = config;
    async function listen(door: HttpApp, at: { host: string; port: number }): Promise<number> {
      await door.ready();
      const listening = await listenOn(door.server, at, async (where) => door.listen(where));
      stops.push(() => listening.close());
      return listening.port;
    }
    const port = await listen(app, config);
    const internalPort = await listen(internal, { host: internalHost, port: config.internalPort });
    log.info(
      {
        url: urlOfHost(host, port),
        internalUrl: urlOfHost(internalHost, internalPort),
        host,
        database: db.kind,
        relayUrl,
      },
      'listening',
    );
    return { port, internalPort, close: async () => stops.stop() };
  } catch (error) {
    await stops.stop().catch((failure: unknown) => log.warn({ err: failure }, 'unable to stop what had been started'));
    throw error;
  }
}
