import { readFileSync } from 'node:fs';
import {
  bearerToken,
  type ConnectionLimit,
  createHostGate,
  createHttpApp,
  describeRefusals,
  type HttpApp,
  type HttpRequest,
  type Logger,
  zodScope,
} from '@groupcast/service-kit';
import type { ServiceScope } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import { z } from 'zod';
import { drainRoutes } from '../drain/drain-routes.ts';
import type { MachineDrain } from '../drain/machine-drain.ts';
import { type MonitorPageDeps, monitorPageRoutes } from '../monitor-page/page-routes.ts';
import { COMMON_REFUSALS, successOf } from './answers.ts';
import { type BroadcastRoutesDeps, bodyLimitOf, broadcastRoutes } from './broadcast-routes.ts';
import type { MachineHealth } from './machine-health.ts';

/** The version of this package, from `src` and from `dist`. */
const { version: VERSION } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const infoSchema = z.object({
  node: z.string(),
  version: z.string(),
  uptimeSeconds: z.int(),
  connections: z.int(),
  groupLog: z.enum(['memory', 'redis']),
});

export interface InternalAppDeps extends Omit<BroadcastRoutesDeps, 'authorise'> {
  services: ServiceTokenVerifier;
  connections: ConnectionLimit;
  node: string;
  internalHost: string;
  internalNames: readonly string[];
  connectionCount: () => number;
  groupLogKind: 'memory' | 'redis';
  maxPayloadBytes: number;
  drain: MachineDrain;
  health: MachineHealth;
  page: Omit<MonitorPageDeps, 'node' | 'services' | 'traces' | 'metrics' | 'log'>;
  log: Logger;
}

/** The internal port: the broadcast API's HTTP twins for any language, health and metrics. */
export async function createInternalApp(deps: InternalAppDeps): Promise<HttpApp> {
  const { services, metrics } = deps;
  const startedAt = performance.now();
  const app = await createHttpApp({
    log: deps.log,
    port: 'relay-internal',
    async before(root) {
      const hostGate = createHostGate({
        host: deps.internalHost,
        names: deps.internalNames,
        variable: 'RELAY_INTERNAL_NAMES',
        services,
        onRefused: (code) => metrics.internalRefused.inc({ code }),
        log: deps.log,
      });
      root.addHook('onRequest', hostGate);
    },
    connections: deps.connections,
    bodyLimitBytes: bodyLimitOf(deps.maxPayloadBytes),
    openapi: {
      title: 'Groupcast relay, internal API',
      description:
        'Broadcasts from trusted back ends. Bearer: a service token (aud groupcast-relay, scope broadcast; admin to drain). ' +
        'With PUBLIC_BROADCAST_API=1 the public port serves these routes too, but for /v1/info and /v1/drain.',
    },
  });

  app.get('/livez', { schema: { hide: true } }, async () => ({ status: 'live' }));
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const { failing, degraded } = await deps.health.report();
    const also = degraded.length > 0 ? { degraded } : {};
    if (failing.length > 0) return reply.status(503).send({ status: 'unready', failing, ...also });
    return { status: degraded.length > 0 ? 'degraded' : 'ready', ...also };
  });
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    reply.type(metrics.registry.contentType);
    return deps.health.metricsText();
  });

  await monitorPageRoutes(app, { ...deps.page, ...deps });

  const authorise = async (request: HttpRequest, scope: ServiceScope): Promise<void> => {
    await services.verify(bearerToken(request), scope);
  };
  await broadcastRoutes(app, { ...deps, authorise });
  await zodScope(app, (scope) => {
    scope.addHook('onRequest', async (request) => authorise(request, 'broadcast'));
    describeRefusals(scope, COMMON_REFUSALS, { security: [{ bearer: [] }] });
    const infoRoute = { summary: 'This relay', response: successOf(infoSchema) };
    scope.get('/v1/info', { schema: infoRoute }, async () => ({
      ok: true,
      node: deps.node,
      version: VERSION,
      uptimeSeconds: Math.floor((performance.now() - startedAt) / 1_000),
      connections: deps.connectionCount(),
      groupLog: deps.groupLogKind,
    }));
  });
  await zodScope(app, (scope) => {
    describeRefusals(scope, [...COMMON_REFUSALS, 'CONFLICT'], { security: [{ bearer: [] }] });
    drainRoutes(scope, { drain: deps.drain, services });
  });
  return app;
}
