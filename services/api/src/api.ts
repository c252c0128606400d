import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import {
  type Closable,
  createStopStack,
  type HttpApp,
  type Logger,
  listenOn,
  StartFailure,
  type StopStack,
  urlOfHost,
} from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import { type AbsenceDeps, type Absences, forgetAbsences, startAbsences } from './absences/absences.ts';
import { type ApiConfig, pairsCopies } from './config.ts';
import { createLiveReads } from './cursors/live-reads.ts';
import type { Database } from './db/database.ts';
import { reasonOf, rootCodeOf } from './db/database-errors.ts';
import { migrate } from './db/migrate.ts';
import { watchDatabase } from './db/watched-database.ts';
import { openLobby } from './demo/demo-routes.ts';
import { createEventWriter } from './events/event-store.ts';
import { createGroupLimits } from './groups/group-limits.ts';
import { createSaveQueue } from './messages/save-queue.ts';
import { createApiMetrics } from './metrics.ts';
import { createDispatcher, type Dispatcher } from './outbox/dispatcher.ts';
import { createOutboxStore, type OutboxStore } from './outbox/outbox-store.ts';
import { createRelayClient } from './outbox/relay-client.ts';
import { connectToRelay, type RelayConnection } from './outbox/relay-connection.ts';
import { createWakeUps } from './outbox/wake-up.ts';
import { createPorts } from './ports.ts';
import { createRetention } from './retention/retention.ts';
import { createRetentionStore } from './retention/retention-store.ts';

/** How long a process that dies holds its groups, in milliseconds. Longer than one call to the relay may take. */
const LEASE_MS = 6_000;
/** Longest that one call to the relay may take, in milliseconds. */
const RELAY_TIMEOUT_MS = 2_500;
/** How often the outbox is looked through for events that no wake-up told of, in milliseconds. */
const POLL_MS = 1_000;
/** How often the dispatcher's cursor of a group is written while messages come, in milliseconds. */
const WRITE_MS = 1_000;
/** Groups that are dispatched at once. */
const CONCURRENT_GROUPS = 32;

export interface Api extends Closable {
  port: number;
  internalPort: number;
}

/** Explains in one line why the database cannot be used: a server that is not there, a password, a missing right. */
function explain(error: unknown): never {
  const code = rootCodeOf(error);
  // The driver has no code for a host that does not answer, and for one that does not encrypt.
  if (code === '' && !(error instanceof GroupcastError && error.code === 'API_UNAVAILABLE')) throw error;
  const why = `${reasonOf(error)} (${code === '' ? '' : `${code}; `}check DATABASE_URL)`;
  throw new StartFailure(`unable to bring the database up to date; ${why}`, { cause: error });
}

/** The embedded database is an optional package, because PostgreSQL's users have no need of its 27 MB. */
function explainMissing(error: unknown): never {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes('@electric-sql/pglite')) throw error;
  const fix = 'npm install @electric-sql/pglite, or set DATABASE_URL';
  throw new StartFailure(`unable to open the embedded database; its package is not installed: ${fix}`, {
    cause: error,
  });
}

async function openDatabase(config: ApiConfig, log: Logger): Promise<Database> {
  // Each is loaded by a process that uses it.
  if (!config.databaseUrl) {
    const { openEmbeddedDatabase } = await import('./db/embedded-database.ts').catch(explainMissing);
    return openEmbeddedDatabase(config.dataDir, log);
  }
  const { openPostgresDatabase } = await import('./db/postgres-database.ts');
  const { placeOfDatabase } = await import('./db/postgres-connection.ts');
  log.info(placeOfDatabase(config.databaseUrl), 'using this database');
  return openPostgresDatabase(config.databaseUrl, log, {
    listenUrl: config.databaseListenUrl,
    preparedStatements: config.preparedStatements,
  });
}

async function bringUpToDate(db: Database, log: Logger): Promise<void> {
  const onProgress = (migration: string, rows: number): void => log.info({ migration, rows }, 'migrating the database');
  const onLocked = (migration: string): void => {
    log.warn({ migration }, 'an open transaction holds a table: the migration goes on when it has ended');
  };
  const migrations = await migrate(db, onProgress, onLocked).catch(explain);
  if (migrations.length > 0) log.info({ migrations, database: db.kind }, 'database migrated');
}

async function listen(app: HttpApp, at: { host: string; port: number }, stops: StopStack): Promise<number> {
  await app.ready();
  const listening = await listenOn(app.server, at, async (where) => app.listen(where));
  stops.push(() => listening.close());
  return listening.port;
}

async function openAbsences(deps: AbsenceDeps, { absences }: ApiConfig): Promise<Absences | undefined> {
  if (absences) return startAbsences(deps, absences);
  await forgetAbsences(deps);
  return undefined;
}

/** Connects to the relay, and starts what brings events to it, and what asks who has not got them. */
async function openOutbox(
  config: ApiConfig,
  parts: Omit<AbsenceDeps, 'relay'> & { store: OutboxStore; name: string },
  stops: StopStack,
): Promise<{ relay: RelayConnection; dispatcher: Dispatcher }> {
  const { db, store, metrics, log, owner, name } = parts;
  const { relayUrl } = config;
  const relay = connectToRelay(
    { log },
    { relayUrl, serviceSecret: config.relaySecrets.secret, name: `api-${name}`, timeoutMs: RELAY_TIMEOUT_MS },
  );
  stops.push(async () => relay.broadcaster.close());
  const absences = await openAbsences({ db, relay: relay.broadcaster, metrics, log, owner }, config);
  stops.push(async () => absences?.stop());
  const dispatcher = createDispatcher(
    {
      store,
      relay: createRelayClient(relay.broadcaster, { maxPayloadBytes: config.maxPayloadBytes }),
      wakeUps: createWakeUps({ db, log }),
      metrics,
      log,
      onAccepted: absences && ((groupId, seq) => absences.accepted(groupId, seq)),
    },
    { leaseMs: LEASE_MS, pollMs: POLL_MS, writeMs: WRITE_MS, concurrency: CONCURRENT_GROUPS },
  );
  stops.push(async () => dispatcher.stop());
  const wake = (): void => {
    dispatcher.wake();
    absences?.wake();
  };
  relay.onConnected(wake);
  relay.onDisconnected(() => dispatcher.release());
  await dispatcher.start();
  // It may have connected while the database was asked.
  if (relay.broadcaster.connected) wake();
  return { relay, dispatcher };
}

/** Builds the API, brings its database up to date and opens its two ports, and pushes how each part is stopped. */
async function start(config: ApiConfig, log: Logger, stops: StopStack): Promise<Omit<Api, 'close'>> {
  const opened = await openDatabase(config, log);
  stops.push(async () => opened.close());
  const db = watchDatabase(opened, log);
  await bringUpToDate(opened, log);

  const name = `${hostname()}-${process.pid}`;
  const isTraced = config.tracing.otlpUrl !== undefined;
  const owner = `${name}-${randomUUID().slice(0, 8)}`;
  const store = createOutboxStore(db, { owner, leaseMs: LEASE_MS, isTraced });
  if (db.kind === 'embedded') await store.clearLeases();
  const metrics = createApiMetrics(
    () => store.backlog(),
    () => db.queryCount(),
  );

  const { relay, dispatcher } = await openOutbox(config, { db, store, metrics, log, owner, name }, stops);

  const groups = {
    db,
    dispatcher,
    events: createEventWriter(config.maxPayloadBytes),
    invites: config.groupInvites,
    limits: createGroupLimits({ log, onRefused: (bound) => metrics.groupsLimited.inc({ bound }) }, config.groupBounds),
  };
  if (config.demo) await openLobby(groups);
  const retention = createRetention({ store: createRetentionStore(db), metrics, log }, { days: config.retentionDays });
  stops.push(async () => retention.stop());
  retention.start();

  const liveReads = createLiveReads({ db, relay: relay.broadcaster, metrics, log });
  stops.push(async () => liveReads.stop());

  const { app, internal, relayProxy } = await createPorts({
    config,
    db,
    groups,
    saves: createSaveQueue({ db }, { pairsCopies: pairsCopies(config) }),
    relay: relay.broadcaster,
    liveReads,
    own: { owner, sentSeq: (groupId) => dispatcher.sentSeq(groupId), relayState: () => relay.state() },
    metrics,
    isDraining: () => stops.isStopping,
    log,
  });
  // The internal port stops last: `/readyz` says why the public one is gone, and relays are served to the end.
  stops.push(async () => internal.close());
  stops.push(async () => app.close());
  // A port closes when its connections are gone.
  stops.push(async () => relayProxy?.stop());
  const { host, internalHost } = config;
  const port = await listen(app, { host, port: config.port }, stops);
  const internalPort = await listen(internal, { host: internalHost, port: config.internalPort }, stops);
  const urls = { url: urlOfHost(host, port), internalUrl: urlOfHost(internalHost, internalPort) };
  log.info({ ...urls, host, database: db.kind, relayUrl: config.relayUrl }, 'listening');
  return { port, internalPort };
}

/** Resolves when both ports are open. Throws when it cannot start, leaving nothing open. */
export async function startApi(config: ApiConfig, log: Logger): Promise<Api> {
  const stops = createStopStack();
  try {
    return { ...(await start(config, log, stops)), close: async () => stops.stop() };
  } catch (error) {
    await stops.stop().catch((failure: unknown) => log.warn({ err: failure }, 'unable to stop what had been started'));
    throw error;
  }
}
