import {
  boundIssues,
  ERROR_CODES,
  type ErrorBody,
  explainIssue,
  GroupcastError,
  hasMoreItemsThan,
  toErrorBody,
} from '@groupcast/shared';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import {
  hasZodFastifySchemaValidationErrors,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import type { ConnectionLimit } from './connection-limit.ts';
import { type Diversion, divertUpgrades } from './diversion.ts';
import { createBoundedServer } from './http-server.ts';
import type { Logger } from './logger.ts';
import { registerOpenApi, writeAsIs } from './openapi.ts';
import type { OpenApiOptions } from './openapi-app.ts';
import { hintOfPort, type ServicePort } from './service-ports.ts';
import { bearerOf } from './token-places.ts';

export type HttpApp = FastifyInstance;
/** The part of an app whose routes have zod schemas. */
export type HttpScope = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export type HttpRequest = FastifyRequest;
/** Looks at a request before anything is done for it; what it throws is the answer. */
export type RequestHook = (request: HttpRequest) => Promise<void>;

const CLOSE_IDLE_INTERVAL_MS = 50;
/** Longest that a closing server waits for its connections, in milliseconds: longer than an answer takes. */
const CLOSE_ALL_AFTER_MS = 3_000;
/** Largest head of a request, in bytes, with room for a token of 100,000 characters. */
const MAX_HEADER_BYTES = 128 * 1_024;

/** Translates failures of Fastify and its plugins into our codes. */
function fromStatus(status: number, error: FastifyError): GroupcastError | undefined {
  const because = (what: string): string => `unable to ${what}; ${error.message}`;
  if (status === 413) return new GroupcastError('PAYLOAD_TOO_LARGE', because('read the body'));
  if (status === 429) {
    const seconds = (error as { retryAfterSeconds?: number }).retryAfterSeconds ?? 1;
    return new GroupcastError('RATE_LIMITED', 'unable to serve the request; too many requests', {
      retryAfterMs: seconds * 1_000,
    });
  }
  if (status === 404) return new GroupcastError('NOT_FOUND', because('serve the request'));
  if (status === 503)
    return new GroupcastError('API_UNAVAILABLE', 'unable to serve the request; the server is overloaded');
  if (status >= 400 && status < 500) return new GroupcastError('INVALID_PAYLOAD', because('read the request'));
  return undefined;
}

function tooManyItems(max: number): GroupcastError {
  return new GroupcastError('PAYLOAD_TOO_LARGE', `unable to read the body; it has more than ${max} items`);
}

function toGroupcastError(error: unknown, request: FastifyRequest): GroupcastError | undefined {
  if (error instanceof GroupcastError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const pathOf = ({ instancePath }: { instancePath: string }): string[] => instancePath.split('/').slice(1);
    const input = (error as FastifyError).validationContext === 'body' ? request.body : undefined;
    const details = boundIssues(
      error.validation,
      (issue) => pathOf(issue).join('.'),
      (issue) => explainIssue({ path: pathOf(issue), code: issue.keyword, message: issue.message }, input),
    );
    const first = details.issues[0];
    const message = `unable to accept the request; ${first?.path ? `${first.path} ` : ''}${first?.message ?? 'it is malformed'}`;
    return new GroupcastError('INVALID_PAYLOAD', message, { details });
  }
  const { statusCode } = error as FastifyError;
  return typeof statusCode === 'number' ? fromStatus(statusCode, error as FastifyError) : undefined;
}

const pathOf = ({ url }: FastifyRequest): string => url.split('?', 1)[0] ?? '';

function unroutable(
  error: FastifyError,
  request: FastifyRequest,
  onUnroutable: ((request: FastifyRequest) => void) | undefined,
): unknown {
  try {
    onUnroutable?.(request);
    return toGroupcastError(error, request) ?? error;
  } catch (refusal) {
    return refusal;
  }
}

/**
 * A Fastify instance with the contract's error shape, an OpenAPI page at `/docs` where it has routes for people, and no line per
 * request in the log, for as many connections as `connections` allows.
 * Register routes through `zodScope`.
 */
export async function createHttpApp(options: {
  log: Logger;
  /** Which port it serves: a path of another one is not found here, and the answer says where it is. */
  port: ServicePort;
  connections: ConnectionLimit;
  bodyLimitBytes: number;
  /** Most commas, colons and opening brackets in a JSON body; by default its bytes are the only bound. */
  maxBodyItems?: number;
  /** How many proxies' `X-Forwarded-For` is believed. */
  trustedProxies?: number;
  openapi?: OpenApiOptions;
  /** Adds hooks that are to run for everything, `/docs` and what does not exist included: a hook that is added later misses `/docs`. */
  before?: (app: HttpApp) => Promise<void>;
  /** Requests that come to no route and no hook, because something else answers them. */
  diversion?: Diversion | undefined;
  /** The body of an answer that refuses a request for `path`; `undefined` for the contract's own, `{error}`. */
  describeError?: (path: string, error: ErrorBody) => unknown;
  /** A request that no route and no hook sees, because its path is malformed. What it throws is the answer. */
  onUnroutable?: (request: FastifyRequest) => void;
}): Promise<HttpApp> {
  const logger: FastifyBaseLogger = options.log;
  const { trustedProxies = 0, maxBodyItems = Number.POSITIVE_INFINITY } = options;
  const bodyOf = (request: FastifyRequest, error: ErrorBody): unknown =>
    options.describeError?.(pathOf(request), error) ?? { error };
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.bodyLimitBytes,
    // Fastify asks for a second server where a host has two addresses, as `localhost` does.
    serverFactory(listener) {
      const { diversion } = options;
      const server = createBoundedServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
        if (diversion?.takes(request)) diversion.request(request, response);
        else listener(request, response);
      });
      options.connections.guard(server);
      if (diversion) divertUpgrades(server, diversion, options.connections);
      return server;
    },
    // `createBoundedServer` has its own.
    clientErrorHandler: () => undefined,
    trustProxy: (_address, hop) => hop < trustedProxies,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 512 },
    frameworkErrors: (error, request, reply) => {
      const body = toErrorBody(unroutable(error, request, options.onUnroutable));
      const answer = reply as FastifyReply;
      if (body.retryAfterMs !== undefined) answer.header('retry-after', Math.ceil(body.retryAfterMs / 1000));
      void sendJson(answer.status(ERROR_CODES[body.code].status), bodyOf(request, body));
    },
    forceCloseConnections: 'idle',
  });

  // An empty body counts as none: wrappers of `fetch` send the content type with every POST.
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else if (hasMoreItemsThan(body.toString(), maxBodyItems)) done(tooManyItems(maxBodyItems));
    else void parseJson(request, body.toString(), done);
  });

  // A connection that becomes idle while the server closes would hold it for the whole keep-alive time.
  app.addHook('preClose', async () => {
    // A server that has never listened does not emit `close`.
    if (!app.server.listening) return;
    const idle = setInterval(() => app.server.closeIdleConnections(), CLOSE_IDLE_INTERVAL_MS);
    // Those that never sent a request, or only a part of one, are not idle by Node's count.
    const rest = setTimeout(() => app.server.closeAllConnections(), CLOSE_ALL_AFTER_MS);
    app.server.once('close', () => {
      clearInterval(idle);
      clearTimeout(rest);
    });
  });

  app.setErrorHandler(async (error, request, reply) => {
    const known = toGroupcastError(error, request);
    if (!known)
      request.log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'request failed');
    const body: ErrorBody = toErrorBody(known ?? error);
    if (body.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(body.retryAfterMs / 1000));
    return sendJson(reply.status(known?.status ?? 500), bodyOf(request, body));
  });
  app.setNotFoundHandler(async (request, reply) => {
    return sendJson(reply.status(404), bodyOf(request, nothingAt(request, options.port).toBody()));
  });

  await options.before?.(app);
  if (options.openapi) await registerOpenApi(app, options.openapi);
  return app;
}

/** Says that there is nothing, and where it is if another port has it. */
export function nothingAt(request: FastifyRequest, port: Parameters<typeof hintOfPort>[1]): GroupcastError {
  const path = pathOf(request);
  const elsewhere = hintOfPort(path, port);
  const why = `there is no ${request.method} ${path}${elsewhere ? ` here: ${elsewhere}` : ''}`;
  return new GroupcastError('NOT_FOUND', `unable to serve the request; ${why}`);
}

/** Answers JSON, whatever it is: Fastify sends a text as it is, as plain text. */
export function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(body));
}

/** The token of `Authorization: Bearer …`. */
export function bearerToken(request: FastifyRequest): string | undefined {
  return bearerOf(request.headers.authorization);
}

const MAX_SHOWN = 64;

/** Refuses a parameter that the route does not read: it would silently change nothing. */
async function refuseUnknownQuery(request: FastifyRequest): Promise<void> {
  const { querystring } = (request.routeOptions.schema ?? {}) as { querystring?: { shape?: object } };
  const known = Object.keys(querystring?.shape ?? {});
  const unknown = Object.keys(request.query as object).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const name = JSON.stringify(unknown.slice(0, MAX_SHOWN));
  const why = known.length > 0 ? `known are ${known.join(', ')}` : 'there are none';
  throw new GroupcastError(
    'INVALID_PAYLOAD',
    `unable to accept the request; there is no query parameter ${name} here; ${why}`,
  );
}

/** Routes inside `register` check their requests by themselves; their schemas only describe. */
export async function plainScope(app: HttpApp, register: (scope: HttpScope) => void | Promise<void>): Promise<void> {
  await app.register(async (scope) => {
    scope.setValidatorCompiler(() => () => true);
    scope.setSerializerCompiler(writeAsIs);
    await register(scope.withTypeProvider<ZodTypeProvider>());
  });
}

/**
 * Routes inside `register` are checked by their zod schemas, and refuse query parameters that these do not have; plugins outside keep
 * Fastify's own compilers.
 */
export async function zodScope(app: HttpApp, register: (scope: HttpScope) => void | Promise<void>): Promise<void> {
  await app.register(async (scope) => {
    scope.addHook('preValidation', refuseUnknownQuery);
    scope.setValidatorCompiler(validatorCompiler);
    scope.setSerializerCompiler(writeAsIs);
    await register(scope.withTypeProvider<ZodTypeProvider>());
  });
}
