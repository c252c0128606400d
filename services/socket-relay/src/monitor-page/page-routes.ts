import { type HttpApp, type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError, parsePayload, toErrorBody, traceQuerySchema, userIdSchema } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Traces } from '../tracing/traces.ts';
import type { AllNodes } from './all-nodes.ts';
import type { EventStreams } from './event-streams.ts';
import { createLoginAttempts } from './login-attempts.ts';
import { MAX_SAMPLES } from './node-state.ts';
import { type Asset, readPageAssets } from './page-assets.ts';
import { loginPage, monitorPage, PAGE_HEADERS } from './page-html.ts';
import type { PageSession, PageSessions } from './page-sessions.ts';

const PATH = '/monitor';
const COOKIE = 'groupcast-monitor';
/** Largest form, in bytes: a service token and some air. */
const MAX_FORM_BYTES = 16_384;
/** Longest id of a session in a cookie, in characters. It is looked up in a map, or asked for in another process. */
const MAX_ID_LENGTH = 64;

export interface MonitorPageDeps {
  node: string;
  services: ServiceTokenVerifier;
  sessions: PageSessions;
  nodes: AllNodes;
  streams: EventStreams;
  traces: Pick<Traces, 'trace'>;
  metrics: Pick<RelayMetrics, 'eventsRefused'>;
  log: Logger;
  assets?: ReadonlyMap<string, Asset>;
}

const stateQuery = z.object({ samples: z.coerce.number<string>().int().min(0).max(MAX_SAMPLES).default(0) });
const userQuery = z.object({ userId: userIdSchema });

/** The id in the cookie of the page. */
function sessionIdOf({ headers: { cookie = '' } }: FastifyRequest): string | undefined {
  const [, id = ''] = new RegExp(`(?:^|;\\s*)${COOKIE}=([\\w-]+)`).exec(cookie.slice(0, MAX_FORM_BYTES)) ?? [];
  return id !== '' && id.length <= MAX_ID_LENGTH ? id : undefined;
}

/** A browser says `https` in the origin of what it posts: TLS ends before this port. */
function cookieFor({ headers: { origin = '' } }: FastifyRequest, id: string, maxAgeSeconds: number): string {
  const secure = origin.startsWith('https:') ? '; Secure' : '';
  return `${COOKIE}=${id}; Path=${PATH}; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`;
}

/**
 * The page for operators. A service token with the scope `monitor` is exchanged for a session, whose id is in a cookie for this path alone,
 * so that no other route of the port takes it for a credential. Posts come from this page only: the port's host gate refuses those of other
 * origins, and a browser sends them no cookie.
 */
export async function monitorPageRoutes(app: HttpApp, deps: MonitorPageDeps): Promise<void> {
  const { services, sessions, nodes, streams, metrics, log } = deps;
  const assets = deps.assets ?? readPageAssets();
  const attempts = createLoginAttempts();
  const warn = warnOnceEvery(60_000);
  if (assets.size === 0) log.warn('the monitor page is not built: run npm run build');

  async function sessionOf(request: FastifyRequest): Promise<(PageSession & { id: string }) | undefined> {
    const id = sessionIdOf(request);
    const session = id === undefined ? undefined : await sessions.find(id);
    return id === undefined || session === undefined ? undefined : { id, ...session };
  }
  async function required(request: FastifyRequest): Promise<PageSession & { id: string }> {
    const session = await sessionOf(request);
    if (session) return session;
    throw new GroupcastError('SERVICE_TOKEN_INVALID', `unable to serve the request; log in at ${PATH}`);
  }
  function html(reply: FastifyReply, status: number, body: string): FastifyReply {
    return reply.status(status).type('text/html; charset=utf-8').send(body);
  }

  function refuseLogin(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
    const { code, message, retryAfterMs } = toErrorBody(error);
    const { status } = error instanceof GroupcastError ? error : { status: 500 };
    metrics.eventsRefused.inc({ code });
    warn(code, (suppressed) => {
      log.warn({ code, address: request.ip, suppressed, reason: message }, 'login to the monitor page refused');
    });
    if (retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(retryAfterMs / 1_000));
    return html(reply, status, loginPage(`${code}: ${message}`));
  }

  async function logIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    try {
      attempts.assertAllowed(request.ip);
      const token = (request.body as URLSearchParams | undefined)?.get('token')?.trim();
      const claims = await services.verify(token, 'monitor').catch((error: unknown) => {
        attempts.noteWrong(request.ip);
        throw error;
      });
      const endsInMs = claims.expiresAt * 1_000 - Date.now();
      const id = await sessions.open({ subject: claims.subject, endsInMs });
      log.info({ subject: claims.subject, address: request.ip }, 'logged in to the monitor page');
      reply.header('set-cookie', cookieFor(request, id, Math.max(1, Math.floor(endsInMs / 1_000))));
      return reply.redirect(PATH, 303);
    } catch (error) {
      return refuseLogin(request, reply, error);
    }
  }

  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
      done(null, new URLSearchParams(body.toString()));
    });
    scope.addHook('onRequest', async (_request, reply) => void reply.headers(PAGE_HEADERS));
    const hidden = { schema: { hide: true }, bodyLimit: MAX_FORM_BYTES };

    scope.get(PATH, hidden, async (request, reply) => {
      const session = await sessionOf(request);
      return html(reply, 200, session ? monitorPage({ node: deps.node, ...session }) : loginPage());
    });
    scope.post(PATH, hidden, logIn);
    scope.post(`${PATH}/logout`, hidden, async (request, reply) => {
      const id = sessionIdOf(request);
      if (id !== undefined) {
        await sessions.end(id);
        streams.end(id);
      }
      return reply.header('set-cookie', cookieFor(request, '', 0)).redirect(PATH, 303);
    });
    scope.get<{ Params: { name: string } }>(`${PATH}/assets/:name`, hidden, async (request, reply) => {
      const asset = assets.get(request.params.name);
      if (!asset) throw new GroupcastError('NOT_FOUND', 'unable to serve the file; there is none of this name');
      return reply.type(asset.type).send(asset.body);
    });
    scope.get(`${PATH}/state`, hidden, async (request) => {
      await required(request);
      const { samples } = parsePayload(stateQuery, request.query, 'the request');
      return nodes.state(samples);
    });
    scope.get(`${PATH}/user`, hidden, async (request) => {
      await required(request);
      return nodes.user(parsePayload(userQuery, request.query, 'the request').userId);
    });
    scope.get(`${PATH}/trace`, hidden, async (request) => {
      await required(request);
      const { userIds: named, ...asked } = request.query as Record<string, unknown>;
      const userIds = named === undefined ? {} : { userIds: [named].flat() };
      const query = parsePayload(traceQuerySchema, { ...asked, ...userIds }, 'the request');
      return deps.traces.trace(query);
    });
    scope.get(`${PATH}/events`, hidden, async (request, reply) => {
      const session = await required(request);
      streams.assertRoom();
      reply.hijack();
      reply.raw.writeHead(200, { ...PAGE_HEADERS, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
      streams.open(reply.raw, session);
    });
  });
}
