import {
  type ConnectionLimit,
  createHostGate,
  createHttpApp,
  type HttpApp,
  type HttpScope,
  type Logger,
  zodScope,
} from '@groupcast/service-kit';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { ApiConfig } from '../config.ts';
import type { Database } from '../db/database.ts';
import { type ApiMetrics, timeRequests } from '../metrics.ts';
import { internalRoutes } from './internal-routes.ts';

/** Its routes have limits of their own. */
const BODY_LIMIT_BYTES = 65_536;

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
  probes: (app: HttpApp) => void;
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
  deps.probes(app);
  app.get('/metrics', async (_request, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.registry.metrics();
  });
  await zodScope(app, (scope) => {
    internalRoutes(scope, { db: deps.db, services: deps.serviceTokens });
    deps.relayTurns(scope);
  });
  return app;
}
