import { createLogger } from '../../packages/service-kit/src/index.ts';
import { createInternalApp, type InternalAppDeps } from '../../services/socket-relay/src/internal-http/internal-app.ts';
import { createRelayMetrics } from '../../services/socket-relay/src/metrics.ts';

export interface OpenApi {
  paths: Record<string, Record<string, { summary?: string; responses?: Record<string, unknown> }>>;
  [field: string]: unknown;
}

/** What a route has when it is asked; while it is only described, nothing asks it. */
function unasked<T extends object>(): T {
  return new Proxy({} as T, { get: () => () => undefined });
}

/** The document that the relay's internal port serves at `/docs/json`. */
export async function relayOpenApi(): Promise<OpenApi> {
  const app = await createInternalApp({
    gateway: unasked(),
    history: unasked(),
    presence: unasked(),
    services: unasked(),
    metrics: createRelayMetrics(),
    connections: unasked(),
    node: 'documents',
    internalHost: '127.0.0.1',
    internalNames: [],
    connectionCount: () => 0,
    groupLogKind: 'memory',
    maxPayloadBytes: 65_536,
    drain: unasked<InternalAppDeps['drain']>(),
    health: unasked(),
    log: createLogger({ name: 'documents', level: 'silent', production: true }),
  });
  // It listens nowhere, so there is nothing to close.
  await app.ready();
  return app.swagger() as unknown as OpenApi;
}

export interface Route {
  /** `GET /v1/groups/:groupId/history` */
  name: string;
  summary: string;
}

export function routesOf({ paths }: OpenApi): Route[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary = '' }]) => ({
      name: `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
      summary,
    })),
  );
}
