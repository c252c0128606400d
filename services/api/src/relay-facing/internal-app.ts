import {
  type ConnectionLimit,
  createHostGate,
  createHttpApp,
  type HttpApp,
  type HttpScope,
  type Logger,
  refusalsOf,
  writeAsIs,
} from '@groupcast/service-kit';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import { z } from 'zod';
import type { ApiConfig } from '../config.ts';
import type { WatchedDatabase } from '../db/watched-database.ts';
import type { Probes } from '../http/health-routes.ts';
import { INTERNAL_PORT_REFUSALS } from '../http/refusals.ts';
import { type ApiMetrics, timeRequests } from '../metrics.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import type { ClientEventDoor } from './client-events.ts';
import { internalRoutes } from './internal-routes.ts';

/** Largest body where a route has no limit of its own, in bytes. */
const BODY_LIMIT_BYTES = 65_536;

/** The parts that both ports are built of. */
export interface InternalAppDeps {
  config: Pick<ApiConfig, 'internalHost' | 'internalNames'>;
  db: WatchedDatabase;
  /** The connection to the relay. */
  relay: RelayPort;
  serviceTokens: ServiceTokenVerifier;
  metrics: ApiMetrics;
  connections: ConnectionLimit;
  probes: Probes;
  /** Makes requests of relays wait for their turn. */
  relayTurns: (scope: HttpScope) => void;
  log: Logger;
}

const METRICS = {
  schema: {
    summary: 'Metrics',
    tags: ['health'],
    response: {
      200: { description: 'Prometheus text', content: { 'text/plain': { schema: z.string() } } },
      ...refusalsOf(INTERNAL_PORT_REFUSALS),
    },
  },
  serializerCompiler: writeAsIs,
};

/**
 * Builds the internal port: metrics and health for operators, and the routes for relays. Its callers are let through by the network, and
 * checked by `createHostGate`, so it has no request budgets. It does not listen yet.
 */
export async function createInternalApp(
  deps: InternalAppDeps & { clientEvents: ClientEventDoor; eventBytes: number },
): Promise<HttpApp> {
  const { config, metrics, log } = deps;
  const app = await createHttpApp({
    log,
    port: 'api-internal',
    connections: deps.connections,
    bodyLimitBytes: BODY_LIMIT_BYTES,
    openapi: {
      title: 'Groupcast messaging API, internal port',
      description: 'Health, metrics, and what relays ask. Bearer: a service token (aud groupcast-api, scope relay).',
      page: false,
    },
    async before(root) {
      const gate = createHostGate({
        host: config.internalHost,
        names: config.internalNames,
        variable: 'API_INTERNAL_NAMES',
        services: deps.serviceTokens,
        onRefused: (code) => metrics.internalRefused.inc({ code }),
        log,
      });
      root.addHook('onRequest', gate);
    },
  });
  app.decorateRequest('hold', null);
  timeRequests(app, metrics);
  deps.probes(app, { isHidden: false, portRefusals: INTERNAL_PORT_REFUSALS });
  app.get('/metrics', METRICS, async (_request, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.registry.metrics();
  });
  await internalRoutes(
    app,
    {
      db: deps.db,
      metrics,
      relay: deps.relay,
      services: deps.serviceTokens,
      clientEvents: deps.clientEvents,
      relayTurns: deps.relayTurns,
    },
    { isHidden: false, portRefusals: INTERNAL_PORT_REFUSALS, eventBytes: deps.eventBytes },
  );
  return app;
}
