import cors from '@fastify/cors';
import {
  addressKey,
  corsOptions,
  createHttpApp,
  describeRefusals,
  type HttpApp,
  type HttpScope,
  plainScope,
  zodScope,
} from '@groupcast/service-kit';
import type { UserTokenVerifier } from '@groupcast/tokens';
import { type ApiConfig, pairsCopies } from './config.ts';
import { cursorRoutes } from './cursors/cursor-routes.ts';
import type { LiveReads } from './cursors/live-reads.ts';
import { demoRoutes } from './demo/demo-routes.ts';
import { dialectRoutes } from './dialect-routes/dialect-routes.ts';
import { createErrorAnswers } from './dialect-routes/error-answers.ts';
import { createOnlineUsers } from './dialect-routes/online-users.ts';
import { groupListRoutes } from './group-list/group-list-routes.ts';
import type { GroupDeps } from './groups/group-changes.ts';
import { groupRoutes } from './groups/group-routes.ts';
import { invitationRoutes } from './groups/invitation-routes.ts';
import { callerOf, requireUser } from './http/authenticate.ts';
import { watchEventLoop } from './http/event-loop-delay.ts';
import { DEMO_REFUSALS, USER_REFUSALS } from './http/refusals.ts';
import { createRequestBudgets } from './http/request-budgets.ts';
import { createRequestTurns } from './http/request-turns.ts';
import { sendSecurityHeaders } from './http/security-headers.ts';
import { messageRoutes } from './messages/message-routes.ts';
import type { SaveQueue } from './messages/save-queue.ts';
import { timeRequests } from './metrics.ts';
import { type ClientEventDoor, createClientEventDoor } from './relay-facing/client-events.ts';
import { iceRoutes } from './relay-facing/ice-routes.ts';
import type { InternalAppDeps } from './relay-facing/internal-app.ts';
import { internalRoutes } from './relay-facing/internal-routes.ts';
import { realtimeRoutes } from './relay-facing/realtime-routes.ts';
import { relaySources } from './relay-facing/relay-sources.ts';
import type { RelayProxy } from './relay-proxy/relay-proxy.ts';
import type { OwnOutbox } from './tracing/outbox-hop.ts';
import { keyOf, requireUserOrService } from './tracing/trace-caller.ts';
import { traceRoutes } from './tracing/trace-routes.ts';
import { userRoutes } from './users/user-routes.ts';
import type { UserStore } from './users/user-store.ts';

/** JSON may escape every byte of a message as six characters. */
const ESCAPE_FACTOR = 6;
/** Items that a request may have beside its largest message, such as 1,000 members. */
const ENVELOPE_ITEMS = 4_096;
const MAX_EVENT_LOOP_DELAY_MS = 1_000;

export interface ApiAppDeps extends InternalAppDeps {
  config: ApiConfig;
  groups: GroupDeps;
  saves: SaveQueue;
  liveReads: Pick<LiveReads, 'add'>;
  /** The outbox as this process knows it. */
  own: OwnOutbox;
  users: UserStore;
  userTokens: UserTokenVerifier;
  /** Answers what is for the relay, with `API_RELAY_PROXY`. */
  relayProxy: RelayProxy | undefined;
}

/** Largest body that a message may need, in bytes. */
export function bodyBytesOf({ maxPayloadBytes }: Pick<ApiConfig, 'maxPayloadBytes'>): number {
  return maxPayloadBytes * ESCAPE_FACTOR + 65_536;
}

/**
 * Builds the public port: its routes, and the hooks that run before them. It does not listen yet. `clientEvents` is for the internal port:
 * users have one budget and one place in the queues, whichever way their commands come.
 */
export async function createApiApp(deps: ApiAppDeps): Promise<{ app: HttpApp; clientEvents: ClientEventDoor }> {
  const { config, db, metrics, log } = deps;
  const eventBytes = bodyBytesOf(config);
  const budgets = createRequestBudgets({ metrics, log }, { ...config.limits, trustedProxies: config.trustedProxies });
  const describeError = createErrorAnswers(config.dialects);
  const app = await createHttpApp({
    log,
    port: 'api',
    connections: deps.connections,
    bodyLimitBytes: eventBytes,
    // The largest message can have as many items as bytes.
    maxBodyItems: config.maxPayloadBytes + ENVELOPE_ITEMS,
    trustedProxies: config.trustedProxies,
    openapi: {
      title: 'Groupcast messaging API',
      description: 'Groups, messages and catch-up. Bearer: a user token.',
    },
    async before(root) {
      // A preflight is answered by the CORS plugin; every other answer needs its headers, a refusal too.
      root.addHook('onRequest', async (request) => {
        if (request.method === 'OPTIONS') budgets.count(request);
      });
      await root.register(cors, corsOptions(config.origins));
      root.addHook('onRequest', async (request) => {
        if (request.method !== 'OPTIONS') budgets.count(request);
      });
    },
    diversion: deps.relayProxy,
    ...(describeError ? { describeError } : {}),
    onUnroutable: (request) => budgets.count(request),
  });
  sendSecurityHeaders(app, {
    contentSecurityPolicy: {
      directives: { connectSrc: [`'self'`, ...relaySources(config.relayPublicUrl)], upgradeInsecureRequests: null },
    },
  });
  // While this process is late, the turns decide which requests are refused.
  const isPressed = watchEventLoop(app, MAX_EVENT_LOOP_DELAY_MS);
  const turns = createRequestTurns({ database: db.kind, server: app.server, isPressed }, config.limits);
  app.decorateRequest('hold', null);
  app.decorateRequest('user', null);
  app.decorateRequest('service', null);
  timeRequests(app, metrics);
  deps.probes(app, { isHidden: true, portRefusals: [] });
  const groupDeps = deps.groups;
  const messages = { ...groupDeps, saves: deps.saves };
  const onRequest = requireUser({ verifier: deps.userTokens, budgets }, config);
  /** Serves users alone on the routes that are added to `scope`, each out of their own budget and in their turn. */
  const serveUsers = (scope: HttpScope): void => {
    scope.addHook('onRequest', onRequest);
    turns.take(
      scope,
      (request) => callerOf(request).userId,
      (userId) => budgets.noteRefusal('queue', { userId }),
    );
    scope.addHook('preHandler', async (request) => deps.users.remember(callerOf(request)));
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, limitedBy: 'user' };
    });
  };
  await zodScope(app, (scope) => {
    serveUsers(scope);
    describeRefusals(scope, USER_REFUSALS, { security: [{ bearer: [] }] });
    realtimeRoutes(scope, {
      db,
      connectionSecret: config.tokens.connectionSecret,
      relayPublicUrl: config.relayPublicUrl,
    });
    iceRoutes(scope, config.ice);
    groupListRoutes(scope, db);
    groupRoutes(scope, groupDeps);
    invitationRoutes(scope, groupDeps);
    messageRoutes(scope, { ...messages, metrics });
    cursorRoutes(scope, { db, liveReads: deps.liveReads });
    userRoutes(scope, { db, relay: deps.relay });
  });
  await zodScope(app, (scope) => {
    scope.addHook('onRequest', requireUserOrService({ requireUser: onRequest, services: deps.serviceTokens, budgets }));
    turns.take(scope, keyOf, (key) => budgets.noteRefusal('queue', { caller: key }));
    scope.addHook('preHandler', async (request) => {
      if (request.user) await deps.users.remember(request.user);
    });
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, limitedBy: 'user' };
    });
    describeRefusals(scope, USER_REFUSALS, { security: [{ bearer: [] }] });
    traceRoutes(scope, { db, relay: deps.relay, own: deps.own });
  });
  if (config.dialects.length > 0) {
    await plainScope(app, (scope) => {
      serveUsers(scope);
      dialectRoutes(scope, { messages, online: createOnlineUsers({ relay: deps.relay, db, log }) }, config.dialects);
    });
  }
  const clientEvents = createClientEventDoor({
    messages,
    users: deps.users,
    budgets,
    turns,
    pairsCopies: pairsCopies(config),
    log,
  });
  // A relay that knows `API_URL` alone asks here.
  await internalRoutes(
    app,
    {
      db,
      metrics,
      relay: deps.relay,
      services: deps.serviceTokens,
      clientEvents,
      relayTurns: deps.relayTurns,
      onRefused: (request) => budgets.countRefused(request),
    },
    { isHidden: true, portRefusals: [], eventBytes },
  );
  if (config.demo) {
    await zodScope(app, (scope) => {
      turns.take(
        scope,
        (request) => addressKey(request.ip),
        (address) => budgets.noteRefusal('queue', { address }),
      );
      describeRefusals(scope, DEMO_REFUSALS);
      demoRoutes(scope, { ...groupDeps, tokens: config.tokens, origins: config.origins });
    });
    const { demoPage } = await import('./demo/demo-page.ts');
    await demoPage(app, log);
  }
  return { app, clientEvents };
}
