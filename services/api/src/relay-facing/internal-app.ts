import {
  type ConnectionLimit,
  createHostGate,
  createHttpApp,
  type HttpApp,
  type HttpScope,
  type Logger,
  refusalsOf,
  writeAsIs,
  zodScope,
} from '@groupcast/service-kit';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import { z } from 'zod';
import type { ApiConfig } from '../config.ts';
import type { Database } from '../db/database.ts';
import type { Probes } from '../http/health-routes.ts';
import { INTERNAL_PORT_REFUSALS } from '../http/refusals.ts';
import { type ApiMetrics, timeRequests } from '../metrics.ts';
import { internalRoutes } from './internal-routes.ts';

/** Its routes have limits of their own. */
const BODY_LIMIT_BYTES = 65_536;

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
 * The internal port: metrics and health for whoever operates the API, and what relays ask. It is for those whom the network lets through,
 * and so has no budget; see `createHostGate` for who they are. Listens nowhere yet.
 */
export async function createInternalApp(deps: {
  config: Pick<ApiConfig, 'internalHost' | 'internalNames'>;
  db: Database;
  serviceTokens: ServiceTokenVerifier;
  metrics: ApiMetrics;
  connections: ConnectionLimit;
  probes: Probes;
  /** Lets what relays ask wait for its turn. */
  relayTurns: (scope: HttpScope) => void;
  log: Logger;
}): Promise<HttpApp> {
  const { config, metrics, log } = deps;
  const app = await createHttpApp({
    log,
    door: 'api-internal',
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
  await zodScope(app, (scope) => {
    internalRoutes(
      scope,
      { db: deps.db, services: deps.serviceTokens },
      { isHidden: false, portRefusals: INTERNAL_PORT_REFUSALS },
    );
    deps.relayTurns(scope);
  });
  return app;
}
