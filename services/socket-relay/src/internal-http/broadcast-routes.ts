import { describeRefusals, type HttpApp, type HttpRequest, type HttpScope, zodScope } from '@groupcast/service-kit';
import {
  awaitDeliverySchema,
  batchSchema,
  broadcastSchema,
  COMMAND_ENDPOINTS,
  disconnectSchema,
  type ErrorCode,
  getPresenceSchema,
  historySchema,
  isErrorCode,
  membersSchema,
  notifySchema,
  parsePayload,
  parseRelayCommand,
  type RelayCommandKind,
  removeMembersSchema,
  type ServiceScope,
  storedCursorsSchema,
  TRACEPARENT,
  traceQuerySchema,
} from '@groupcast/shared';
import type { z } from 'zod';
import type { Gateway } from '../broadcast/gateway.ts';
import { executeTraced } from '../broadcast/traced-command.ts';
import type { HistoryReader } from '../group-log/history.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
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

export interface BroadcastRoutesDeps {
  gateway: Gateway;
  history: HistoryReader;
  presence: Presence;
  traces: Traces;
  deliveryWaits: DeliveryWaits;
  metrics: RelayMetrics;
  /** Lets a request pass whose service token has the scope, before its body is read; what it throws is the answer. */
  authorise: (request: HttpRequest, scope: ServiceScope) => Promise<void>;
}

/** The largest body of a request, in bytes. */
export function bodyLimitOf(maxPayloadBytes: number): number {
  return Math.max(MIN_BODY_LIMIT_BYTES, maxPayloadBytes + ENVELOPE_BYTES);
}

/** The code with which a failure is answered. Fastify's own failures have a status, and codes of their own. */
export function codeOf(error: unknown): ErrorCode {
  const { code, statusCode = 500 } = error as { code?: unknown; statusCode?: number };
  if (isErrorCode(code)) return code;
  if (statusCode === 413) return 'PAYLOAD_TOO_LARGE';
  return statusCode < 500 ? 'INVALID_PAYLOAD' : 'INTERNAL';
}

/** Prepares a scope for routes of publishers. `parsePayload` parses, for HTTP and sockets alike; the schemas only describe. */
function openScope(scope: HttpScope, deps: BroadcastRoutesDeps, needs: ServiceScope): void {
  scope.setValidatorCompiler(() => (value: unknown) => ({ value }));
  scope.addHook('onRequest', async (request) => deps.authorise(request, needs));
}

function commandRoutes(scope: HttpScope, { gateway }: BroadcastRoutesDeps): void {
  for (const kind of Object.keys(COMMANDS) as RelayCommandKind[]) {
    const { body, summary } = COMMANDS[kind];
    const schema = { body, summary, response: successOf(COMMAND_ANSWERS[kind]) };
    const config = { refusals: COMMAND_REFUSALS[kind] };
    scope.post(COMMAND_ENDPOINTS[kind].path, { schema, config }, async (request) => {
      const command = parseRelayCommand(kind, request.body);
      const answer = await executeTraced(gateway, command, request.headers[TRACEPARENT]);
      return { ok: true, ...answer };
    });
  }
}

function questionRoutes(scope: HttpScope, { history, presence, deliveryWaits }: BroadcastRoutesDeps): void {
  const config: { refusals: readonly ErrorCode[] } = { refusals: ['BROKER_UNAVAILABLE'] };
  const historyRoute = {
    querystring: historySchema.omit({ groupId: true }),
    params: historySchema.pick({ groupId: true }),
    response: successOf(historyResultSchema),
    summary: 'Recent events of a group',
  };
  scope.get('/v1/groups/:groupId/history', { schema: historyRoute, config }, async (request) => {
    const query = { ...(request.query as object), ...(request.params as object) };
    return { ok: true, ...(await history.read(parsePayload(historySchema, query, 'the request'))) };
  });
  const presenceRoute = {
    params: getPresenceSchema,
    response: successOf(groupPresenceSchema),
    summary: 'Who is in a group',
  };
  scope.get('/v1/groups/:groupId/presence', { schema: presenceRoute, config }, async (request) => {
    const { groupId } = parsePayload(getPresenceSchema, request.params, 'the request');
    return { ok: true, groupId, ...(await presence.get(groupId)) };
  });
  const deliveriesRoute = {
    body: awaitDeliverySchema,
    summary: 'Whom an event has reached, once it has, or some time later',
    response: successOf(deliveryResultSchema),
  };
  scope.post('/v1/deliveries', { schema: deliveriesRoute }, async (request) => {
    const question = parsePayload(awaitDeliverySchema, request.body, 'the request');
    return { ok: true, delivery: await deliveryWaits.await(question) };
  });
}

function traceRoute(scope: HttpScope, { traces }: BroadcastRoutesDeps): void {
  const schema = {
    querystring: traceQuerySchema,
    response: successOf(relayTraceSchema),
    summary: 'Where one event is, hop by hop, and for whom',
  };
  scope.get('/v1/traces', { schema }, async (request) => {
    const { userIds: named, ...query } = request.query as Record<string, unknown>;
    const userIds = named === undefined ? {} : { userIds: [named].flat() };
    return {
      ok: true,
      ...(await traces.trace(parsePayload(traceQuerySchema, { ...query, ...userIds }, 'the request'))),
    };
  });
}

/** The broadcast API over HTTP: the twins of a back end's socket events, for any language, on each port that serves them. */
export async function broadcastRoutes(app: HttpApp, deps: BroadcastRoutesDeps): Promise<void> {
  const security = { security: [{ bearer: [] }] };
  await zodScope(app, (scope) => {
    openScope(scope, deps, 'broadcast');
    scope.addHook('onError', async (_request, _reply, error) => {
      deps.metrics.eventsRefused.inc({ code: codeOf(error) });
    });
    describeRefusals(scope, COMMON_REFUSALS, security);
    commandRoutes(scope, deps);
    questionRoutes(scope, deps);
  });
  await zodScope(app, (scope) => {
    openScope(scope, deps, 'monitor');
    describeRefusals(scope, [...COMMON_REFUSALS, 'RATE_LIMITED'], security);
    traceRoute(scope, deps);
  });
}
