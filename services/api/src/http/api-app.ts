import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import fastifyStatic from '@fastify/static';
import underPressure from '@fastify/under-pressure';
import { createHttpApp, type HttpApp, isOriginAllowed, type Logger, zodScope } from '@groupcast/service-kit';
import type { ServiceTokenVerifier, UserTokenVerifier } from '@groupcast/tokens';
import type { ApiConfig } from '../config.ts';
import type { WatchedDatabase } from '../db/watched-database.ts';
import { demoRoutes } from '../demo/demo-routes.ts';
import { groupRoutes } from '../groups/group-routes.ts';
import { messageRoutes } from '../messages/message-routes.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import { createOutboxWriter } from '../outbox/outbox-store.ts';
import type { UserStore } from '../users/user-store.ts';
import { requireUser } from './authenticate.ts';
import { healthRoutes } from './health-routes.ts';
import { internalRoutes } from './internal-routes.ts';
import type { ApiMetrics } from './metrics.ts';
import { realtimeRoutes } from './realtime-routes.ts';

const DEMO_PAGE = fileURLToPath(new URL('../../../../apps/demo/dist', import.meta.url));
/** JSON may escape every byte of a message as six characters. */
const ESCAPE_FACTOR = 6;
const MAX_EVENT_LOOP_DELAY_MS = 1_000;

export interface ApiAppDeps {
  config: ApiConfig;
  db: WatchedDatabase;
  dispatcher: Dispatcher;
  users: UserStore;
  userTokens: UserTokenVerifier;
  serviceTokens: ServiceTokenVerifier;
  metrics: ApiMetrics;
  log: Logger;
  isDraining: () => boolean;
}

/** Every route of the API and what stands before it. Listens nowhere yet. */
export async function createApiApp(deps: ApiAppDeps): Promise<HttpApp> {
  const { config, db, dispatcher, metrics, log } = deps;
  const app = await createHttpApp({
    log,
    bodyLimitBytes: config.maxPayloadBytes * ESCAPE_FACTOR + 65_536,
    trustedProxies: config.trustedProxies,
    openapi: { title: 'Groupcast messaging API', description: 'Groups, messages and catch-up. Bearer: a user token.' },
  });
  const relay = new URL(config.relayPublicUrl);
  const relaySocket = `${relay.protocol === 'https:' ? 'wss:' : 'ws:'}//${relay.host}`;
  await app.register(helmet, {
    contentSecurityPolicy: {
      directives: { connectSrc: [`'self'`, relay.origin, relaySocket], upgradeInsecureRequests: null },
    },
  });
  await app.register(cors, {
    origin: (origin, done) => done(null, isOriginAllowed(config.origins, origin)),
    credentials: true,
  });
  await app.register(underPressure, { maxEventLoopDelay: MAX_EVENT_LOOP_DELAY_MS });
  await app.register(rateLimit, {
    max: config.rateLimitPerMinute,
    timeWindow: 60_000,
    // After authentication, so that the key is somebody: a made-up token is refused, and is no key of its own.
    hook: 'preHandler',
    keyGenerator: (request) => request.user?.userId ?? request.ip,
    errorResponseBuilder: (_request, { ttl }) =>
      Object.assign(new Error('too many requests'), { statusCode: 429, retryAfterSeconds: ttl / 1_000 }),
  });
  app.decorateRequest('user', null);
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
  });

  healthRoutes(app, { db, services: deps.serviceTokens, metrics, isDraining: deps.isDraining });
  const groupDeps = { db, dispatcher, outbox: createOutboxWriter(config.maxPayloadBytes) };
  await zodScope(app, (scope) => {
    scope.addHook('onRequest', requireUser({ verifier: deps.userTokens, users: deps.users }));
    scope.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, security: [{ bearer: [] }] };
    });
    realtimeRoutes(scope, {
      db,
      connectionSecret: config.tokens.connectionSecret,
      relayPublicUrl: config.relayPublicUrl,
    });
    groupRoutes(scope, groupDeps);
    messageRoutes(scope, groupDeps);
  });
  await zodScope(app, (scope) => internalRoutes(scope, { db, services: deps.serviceTokens }));
  if (config.demo) {
    const { secret = '', issuer, audience } = config.tokens;
    await zodScope(app, (scope) => demoRoutes(scope, { ...groupDeps, secret, issuer, audience }));
    if (existsSync(DEMO_PAGE)) await app.register(fastifyStatic, { root: DEMO_PAGE });
    else log.warn('the demo page is not built: run npm run build');
  }
  return app;
}
