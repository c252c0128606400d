import { createLogger, type HttpApp, openApiOf } from '@groupcast/service-kit';
import { type ApiConfig, readApiConfig } from './config.ts';
import type { WatchedDatabase } from './db/watched-database.ts';
import { createEventWriter } from './events/event-store.ts';
import { createGroupLimits } from './groups/group-limits.ts';
import { createSaveQueue } from './messages/save-queue.ts';
import { createApiMetrics } from './metrics.ts';
import type { RelayPort } from './outbox/relay-connection.ts';
import { createPorts } from './ports.ts';

type OpenApi = Awaited<ReturnType<typeof openApiOf>>;

/** Only so that the configuration is complete: nothing is signed or verified. */
const SECRETS = { JWT_SECRET: 'x'.repeat(32), RELAY_SERVICE_SECRET: 'y'.repeat(32) };

async function noDatabase(): Promise<never> {
  throw new Error('the OpenAPI document is made without a database');
}

const NO_DATABASE: WatchedDatabase = {
  kind: 'postgres',
  query: noDatabase,
  transaction: noDatabase,
  script: noDatabase,
  listen: noDatabase,
  notify: noDatabase,
  check: noDatabase,
  queryCount: () => 0,
  close: async () => undefined,
};

const NO_RELAY: RelayPort = {
  connected: false,
  disconnectUsers: noDatabase,
  updateCursors: noDatabase,
  getPresence: noDatabase,
  getTrace: noDatabase,
  awaitDelivery: noDatabase,
};

/** The paths of the internal port, each saying where it is served. */
function atInternalPort(paths: OpenApi['paths'], port: number): OpenApi['paths'] {
  const servers = [{ url: `http://127.0.0.1:${port}`, description: 'The internal port (API_INTERNAL_PORT)' }];
  return Object.fromEntries(Object.entries(paths).map(([path, item]) => [path, { ...item, servers }]));
}

/** Both ports with every route, and those that `env` adds. They can be asked for their routes, and for nothing that needs a database. */
export async function createPortsWithoutDatabase(
  env: Readonly<Record<string, string>> = {},
): Promise<{ app: HttpApp; internal: HttpApp; config: ApiConfig }> {
  const config = readApiConfig({ ...SECRETS, DEMO: '1', ...env });
  const log = createLogger({ name: 'api', level: 'silent', production: true });
  const metrics = createApiMetrics(async () => ({ events: 0, groups: 0, oldestSeconds: 0 }));
  const groups = {
    db: NO_DATABASE,
    dispatcher: { wake: () => undefined, whenDispatched: async () => false },
    events: createEventWriter(config.maxPayloadBytes),
    limits: createGroupLimits({ log, onRefused: () => undefined }, config.groupBounds),
    invites: config.groupInvites,
  };
  const ports = await createPorts({
    config,
    db: NO_DATABASE,
    groups,
    saves: createSaveQueue({ db: NO_DATABASE }),
    relay: NO_RELAY,
    liveReads: { add: () => undefined },
    own: { owner: '', sentSeq: () => undefined, relayState: () => ({ name: 'closed' }) },
    metrics,
    isDraining: () => false,
    log,
  });
  return { ...ports, config };
}

/**
 * The OpenAPI document of the API: every route of both ports, the demo's login included. It needs no database, opens no port and reads
 * nothing of the environment, so it is the same wherever it is made.
 */
export async function describeApi(): Promise<OpenApi> {
  const { app, internal, config } = await createPortsWithoutDatabase();
  try {
    const [document, ofInternal] = [await openApiOf(app), await openApiOf(internal)];
    return {
      ...document,
      servers: [{ url: `http://localhost:${config.port}`, description: 'The public port (API_PORT)' }],
      paths: { ...document.paths, ...atInternalPort(ofInternal.paths, config.internalPort) },
      components: {
        ...document.components,
        schemas: { ...document.components?.schemas, ...ofInternal.components?.schemas },
      },
    };
  } finally {
    await app.close();
    await internal.close();
  }
}
