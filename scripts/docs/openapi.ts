import { createLogger, openApiOf } from '../../packages/service-kit/src/index.ts';
import { createInternalApp, type InternalAppDeps } from '../../services/socket-relay/src/internal-http/internal-app.ts';
import { createRelayMetrics } from '../../services/socket-relay/src/metrics/relay-metrics.ts';

export interface OpenApi {
  paths: Record<string, Record<string, { summary?: string; responses?: Record<string, unknown> }>>;
  [field: string]: unknown;
}

/** The dependencies of a route, which nothing uses while it is only described. */
function unasked<T extends object>(): T {
  return new Proxy({} as T, { get: () => () => undefined });
}

/** The document that the relay's internal port serves at `/docs/json`. */
export async function relayOpenApi(): Promise<OpenApi> {
  const app = await createInternalApp({
    gateway: unasked(),
    history: unasked(),
    presence: unasked(),
    traces: unasked(),
    deliveryWaits: unasked(),
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
    page: { sessions: unasked(), nodes: unasked(), streams: unasked(), assets: new Map() },
    log: createLogger({ name: 'documents', level: 'silent', production: true }),
  });
  const document = (await openApiOf(app)) as unknown as OpenApi;
  return {
    ...document,
    servers: [{ url: 'http://127.0.0.1:3002', description: 'The internal port (RELAY_INTERNAL_PORT)' }],
  };
}

export interface Route {
  /** `GET /v1/groups/:groupId/history` */
  name: string;
  summary: string;
  /** The statuses that it is said to answer with. */
  statuses: string[];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

export function routesOf({ paths }: OpenApi): Route[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => METHODS.includes(method))
      .map(([method, { summary = '', responses = {} }]) => ({
        name: `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
        summary,
        statuses: Object.keys(responses),
      })),
  );
}
