import { ERROR_CODES, type ErrorBody, type ErrorCode } from '@groupcast/shared';
import type { FastifyInstance, FastifySerializerCompiler, RouteOptions } from 'fastify';
import type { OpenAPIV3 } from 'openapi-types';
import { z } from 'zod';
import type { OpenApiOptions } from './openapi-app.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Codes with which a route answers beside its success. `describeRefusals` makes schemas of them. */
    refusals?: readonly ErrorCode[];
  }
  interface FastifyInstance {
    /** Resolves with the app that has this one's OpenAPI document, and its page. */
    describe(): Promise<FastifyInstance>;
  }
}

const errorBodySchema = z.object({
  code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
  message: z.string().meta({ description: 'For people: `unable to <do what>; <why>`' }),
  retryable: z.boolean().meta({ description: 'Whether the same request may succeed later' }),
  retryAfterMs: z.int().min(0).exactOptional().meta({ description: 'Milliseconds to wait before it is worth trying' }),
  details: z.record(z.string(), z.unknown()).exactOptional(),
}) satisfies z.ZodType<ErrorBody>;

/** The body of every error answer, on all ports. */
export const errorAnswerSchema = z.object({ error: errorBodySchema }).meta({ id: 'Error' });

/** The responses with these codes, by HTTP status, as a route's `schema.response` takes them. */
export function refusalsOf(codes: readonly ErrorCode[]): Record<number, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\``).join(', '),
        content: { 'application/json': { schema: errorAnswerSchema } },
      },
    ]),
  );
}

/** Describes, for every route that is added to `scope` from now on, its own refusals and those that all of them have in common. */
export function describeRefusals(
  scope: Pick<FastifyInstance, 'addHook'>,
  common: readonly ErrorCode[],
  more: object = {},
): void {
  scope.addHook('onRoute', (route) => {
    const response = (route.schema?.response ?? {}) as Record<number, object>;
    const refusals = refusalsOf([...common, ...(route.config?.refusals ?? [])]);
    route.schema = { ...more, ...route.schema, response: { ...refusals, ...response } };
  });
}

/** Response schemas describe, and change nothing: an answer is written as the handler returns it, with no field left out. */
export const writeAsIs: FastifySerializerCompiler<unknown> = () => (data) => JSON.stringify(data);

/**
 * Serves the document as a page at `/docs`. It has to come before the routes, which are noted as they are added. Describing them takes as long
 * as a start, so that is done, and loaded, when it is asked for.
 */
export async function registerOpenApi(app: FastifyInstance, options: OpenApiOptions): Promise<void> {
  const routes: RouteOptions[] = [];
  let describing: Promise<FastifyInstance> | undefined;
  const describe = async (): Promise<FastifyInstance> => {
    describing ??= import('./openapi-app.ts').then(async ({ createOpenApiApp }) => createOpenApiApp(routes, options));
    return describing;
  };
  app.addHook('onRoute', (route) => void routes.push(route));
  app.decorate('describe', describe);
  if (options.page === false) return;
  await app.register(async (scope) => {
    for (const url of ['/docs', '/docs/*']) {
      scope.get(url, { schema: { hide: true } }, async ({ method, raw, headers }, reply) => {
        const docs = await describe();
        const answer = await docs.inject({ method: method as 'GET' | 'HEAD', url: raw.url ?? url, headers });
        if (answer.statusCode === 404) return reply.callNotFound();
        return reply.status(answer.statusCode).headers(answer.headers).send(answer.rawPayload);
      });
    }
  });
}

/** The OpenAPI document of an app. It may be read before the app listens. */
export async function openApiOf(app: FastifyInstance): Promise<OpenAPIV3.Document> {
  await app.ready();
  return (await app.describe()).swagger() as OpenAPIV3.Document;
}
