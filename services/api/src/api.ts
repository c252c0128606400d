import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createBroadcaster } from '@groupcast/broadcaster';
import {
  type Closable,
  connectionBudget,
  createConnectionLimit,
  type Logger,
  listenOn,
  logKeyProblems,
  StartFailure,
  urlOfHost,
  warnOnceEvery,
} from '@groupcast/service-kit';
import { AUDIENCE } from '@groupcast/shared';
import { createServiceTokenVerifier, createUserTokenVerifier } from '@groupcast/tokens';
import type { ApiConfig } from './config.ts';
import { reasonOf, rootCodeOf } from './db/database-errors.ts';
import { openEmbeddedDatabase } from './db/embedded-database.ts';
import { migrate } from './db/migrate.ts';
import { openPostgresDatabase } from './db/postgres-database.ts';
import { watchDatabase } from './db/watched-database.ts';
import { openLobby } from './demo/demo-routes.ts';
import { createGroupLimits } from './groups/group-limits.ts';
import { createApiApp } from './http/api-app.ts';
import { createApiMetrics } from './http/metrics.ts';
import { createDispatcher, type Dispatcher } from './outbox/dispatcher.ts';
import { createOutboxStore, createOutboxWriter } from './outbox/outbox-store.ts';
import { createRelayClient } from './outbox/relay-client.ts';
import { createOutboxWakeUp } from './outbox/wake-up.ts';
import { createUserStore } from './users/user-store.ts';

/** A process that dies holds its groups this long. Longer than one call to the relay may take. */
const LEASE_MS = 6_000;
const RELAY_TIMEOUT_MS = 2_500;
const POLL_MS = 1_000;
const CONCURRENT_GROUPS = 32;
/** The embedded database has about ninety files open, and may want more. */
const DATABASE_FILES = 256;

export interface Api extends Closable {
  port: number;
}

/** In one line, where it is the database's: a server that is not there, a password, a right that is missing. */
function explain(error: unknown): never {
  const code = rootCodeOf(error);
  if (code === '') throw error;
  const why = `${reasonOf(error)} (${code}; check DATABASE_URL)`;
  throw new StartFailure(`unable to bring the database up to date; ${why}`, { cause: error });
}

/** Builds the API, brings its database up to date and opens its port. Throws when it cannot, leaving nothing open. */
export async function startApi(config: ApiConfig, log: Logger): Promise<Api> {
  const name = `${hostname()}-${process.pid}`;
  let draining = false;
  const warn = warnOnceEvery(60_000);
  /** What to stop, in order of start. */
  const parts: { close(): Promise<unknown> }[] = [];
  async function close(): Promise<void> {
    draining = true;
    for (const part of parts.toReversed()) await part.close();
  }

  try {
    const opened = config.databaseUrl
      ? openPostgresDatabase(config.databaseUrl, log, {
          listenUrl: config.databaseListenUrl,
          preparedStatements: config.preparedStatements,
        })
      : await openEmbeddedDatabase(config.dataDir);
    parts.push(opened);
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
              'the relay refuses this API: compare RELAY_SERVICE_SECRET on both sides',
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
    parts.push(broadcaster);
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
    parts.push({ close: () => local.stop() });
    const wakeUp = await createOutboxWakeUp({ db, dispatcher: local, relay: broadcaster, log });
    parts.push({ close: () => wakeUp.stop() });
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

    const connections = createConnectionLimit({
      max: connectionBudget(config.maxConnections, { files: db.kind === 'embedded' ? DATABASE_FILES : 0 }).public,
      port: 'public',
      log,
      onRefused: () => metrics.connectionsRefused.inc(),
      onClosed: (reason) => metrics.connectionsClosed.inc({ reason }),
    });
    metrics.watchConnections(connections);
    const app = await createApiApp({
      config,
      db,
      groups,
      users: createUserStore(db),
      userTokens: createUserTokenVerifier({ ...config.tokens, onKeyProblem: logKeyProblems(log) }),
      serviceTokens: createServiceTokenVerifier({ ...config.relaySecrets, audience: AUDIENCE.api }),
      metrics,
      connections,
      log,
      isDraining: () => draining,
    });
    parts.push(app);
    await app.ready();
    const listening = await listenOn(app.server, config, async (where) => app.listen(where));
    parts.push({ close: async () => listening.close() });
    const { port } = listening;
    const { host, relayUrl } = config;
    log.info({ url: urlOfHost(host, port), host, database: db.kind, relayUrl }, 'listening');
    return { port, close };
  } catch (error) {
    await close();
    throw error;
  }
}
