import {
  bearerToken,
  type ConnectionLimit,
  createHostGate,
  createHttpApp,
  describeRefusals,
  type HttpApp,
  type Logger,
  zodScope,
} from '@groupcast/service-kit';
import {
  awaitDeliverySchema,
  batchSchema,
  broadcastSchema,
  COMMAND_ENDPOINTS,
  disconnectSchema,
  getPresenceSchema,
  historySchema,
  membersSchema,
  notifySchema,
  parsePayload,
  parseRelayCommand,
  type RelayCommandKind,
  removeMembersSchema,
  storedCursorsSchema,
  traceQuerySchema,
} from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import { z } from 'zod';
import type { Gateway } from '../broadcast/gateway.ts';
import { drainRoutes } from '../drain/drain-routes.ts';
import type { MachineDrain } from '../drain/machine-drain.ts';
import type { HistoryReader } from '../group-log/history.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { Presence } from '../presence/presence.ts';
import type { DeliveryWaits } from '../tracing/await-delivery.ts';
import type { Traces } from '../tracing/traces.ts';
import {
  COMMAND_ANSWERS,
  COMMAND_REFUSALS,
  COMMON_REFUSALS,
  deliveryResultSchema,
  groupPresenceSchema,
  historyResultSchema,
  relayTraceSchema,
  successOf,
} from './answers.ts';
import type { MachineHealth } from './machine-health.ts';

/** Smallest limit of a body, in bytes: a batch, its JSON punctuation and some air. */
const MIN_BODY_LIMIT_BYTES = 1_100_000;
/** Bytes that a broadcast may have besides its message. */
const ENVELOPE_BYTES = 65_536;

const COMMANDS: Readonly<Record<RelayCommandKind, { body: z.ZodType; summary: string }>> = {
  broadcast: { body: broadcastSchema, summary: 'Send one event to the members of a group' },
  batch: { body: batchSchema, summary: 'Send many events; a bad item fails alone' },
  notify: { body: notifySchema, summary: 'Send an event to every connection of some users' },
  'add-members': { body: membersSchema, summary: 'Put the live connections of users into a group' },
  'remove-members': { body: removeMembersSchema, summary: 'Take the live connections of users out of a group' },
  'update-cursors': { body: storedCursorsSchema, summary: 'Show how far members are, such as what was read over HTTP' },
  'disconnect-users': { body: disconnectSchema, summary: 'End the sessions of users, and revoke older tokens' },
};

const infoSchema = z.object({
  node: z.string(),
  uptimeSeconds: z.int(),
  connections: z.int(),
  groupLog: z.enum(['memory', 'redis']),
});

export interface InternalAppDeps {
  gateway: Gateway;
  history: HistoryReader;
  presence: Presence;
  traces: Traces;
  deliveryWaits: DeliveryWaits;
  services: ServiceTokenVerifier;
  metrics: RelayMetrics;
  connections: ConnectionLimit;
  node: string;
  internalHost: string;
  internalNames: readonly string[];
  connectionCount: () => number;
  groupLogKind: 'memory' | 'redis';
  maxPayloadBytes: number;
  drain: MachineDrain;
  health: MachineHealth;
  log: Logger;
}

/** The internal port: the broadcast API's HTTP twins for any language, health and metrics. */
export async function createInternalApp(deps: InternalAppDeps): Promise<HttpApp> {
  const { gateway, history, services, metrics } = deps;
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
    bodyLimitBytes: Math.max(MIN_BODY_LIMIT_BYTES, deps.maxPayloadBytes + ENVELOPE_BYTES),
    openapi: {
      title: 'Groupcast relay, internal API',
      description:
        'Broadcasts from trusted back ends. Bearer: a service token (aud groupcast-relay, scope broadcast; admin to drain).',
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

  await zodScope(app, (scope) => {
    // `parseRelayCommand` parses, for HTTP and sockets alike. Here the schemas only describe.
    scope.setValidatorCompiler(() => (value: unknown) => ({ value }));
    scope.addHook('onRequest', async (request) => {
      await services.verify(bearerToken(request), 'broadcast');
    });
    scope.addHook('onError', async (_request, _reply, error) => {
      metrics.eventsRefused.inc({ code: (error as { code?: string }).code ?? 'INTERNAL' });
    });
    describeRefusals(scope, COMMON_REFUSALS, { security: [{ bearer: [] }] });
    for (const kind of Object.keys(COMMANDS) as RelayCommandKind[]) {
      const { body, summary } = COMMANDS[kind];
      const schema = { body, summary, response: successOf(COMMAND_ANSWERS[kind]) };
      const config = { refusals: COMMAND_REFUSALS[kind] };
      scope.post(COMMAND_ENDPOINTS[kind].path, { schema, config }, async (request) => {
        const answer = await gateway.execute(parseRelayCommand(kind, request.body));
        return { ok: true, ...answer };
      });
    }
    const historyQuery = historySchema.omit({ groupId: true });
    const historyRoute = {
      querystring: historyQuery,
      params: historySchema.pick({ groupId: true }),
      response: successOf(historyResultSchema),
    };
    scope.get(
      '/v1/groups/:groupId/history',
      {
        schema: { ...historyRoute, summary: 'Recent events of a group' },
        config: { refusals: ['BROKER_UNAVAILABLE'] },
      },
      async (request) => {
        const query = { ...(request.query as object), ...(request.params as object) };
        return { ok: true, ...(await history.read(parsePayload(historySchema, query, 'the request'))) };
      },
    );
    const presenceRoute = {
      params: getPresenceSchema,
      response: successOf(groupPresenceSchema),
      summary: 'Who is in a group',
    };
    scope.get(
      '/v1/groups/:groupId/presence',
      { schema: presenceRoute, config: { refusals: ['BROKER_UNAVAILABLE'] } },
      async (request) => {
        const { groupId } = parsePayload(getPresenceSchema, request.params, 'the request');
        return { ok: true, groupId, ...(await deps.presence.get(groupId)) };
      },
    );
    scope.post(
      '/v1/deliveries',
      {
        schema: {
          body: awaitDeliverySchema,
          summary: 'Whom an event has reached, once it has, or some time later',
          response: successOf(deliveryResultSchema),
        },
      },
      async (request) => {
        const question = parsePayload(awaitDeliverySchema, request.body, 'the request');
        return { ok: true, delivery: await deps.deliveryWaits.await(question) };
      },
    );
    const infoRoute = { summary: 'This relay', response: successOf(infoSchema) };
    scope.get('/v1/info', { schema: infoRoute }, async () => ({
      ok: true,
      node: deps.node,
      uptimeSeconds: Math.floor((performance.now() - startedAt) / 1_000),
      connections: deps.connectionCount(),
      groupLog: deps.groupLogKind,
    }));
  });
  await zodScope(app, (scope) => {
    scope.setValidatorCompiler(() => (value: unknown) => ({ value }));
    scope.addHook('onRequest', async (request) => {
      await services.verify(bearerToken(request), 'monitor');
    });
    describeRefusals(scope, [...COMMON_REFUSALS, 'RATE_LIMITED'], { security: [{ bearer: [] }] });
    const route = { querystring: traceQuerySchema, response: successOf(relayTraceSchema) };
    scope.get(
      '/v1/traces',
      { schema: { ...route, summary: 'Where one event is, hop by hop, and for whom' } },
      async (request) => {
        const { userIds: named, ...query } = request.query as Record<string, unknown>;
        const userIds = named === undefined ? {} : { userIds: [named].flat() };
        return {
          ok: true,
          ...(await deps.traces.trace(parsePayload(traceQuerySchema, { ...query, ...userIds }, 'the request'))),
        };
      },
    );
  });
  await zodScope(app, (scope) => {
    describeRefusals(scope, [...COMMON_REFUSALS, 'CONFLICT'], { security: [{ bearer: [] }] });
    drainRoutes(scope, { drain: deps.drain, services });
  });
  return app;
}
