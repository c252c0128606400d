import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { ERROR_CODES, type ErrorBody, type ErrorCode } from '@groupcast/shared';
import type { FastifyInstance, FastifySerializerCompiler } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { OpenAPIV3 } from 'openapi-types';
import { z } from 'zod';

/** How a service describes itself in its OpenAPI document. */
export interface OpenApiOptions {
  title: string;
  description: string;
  /** False where the document is for `openApiOf` alone, and no page is served at `/docs`. */
  page?: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Codes with which a route answers beside its success. `describeRefusals` makes schemas of them. */
    refusals?: readonly ErrorCode[];
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

const REFERENCE = '#/components/schemas/';

/** The names of all schemas that `value` refers to, at any depth. */
function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    key === '$ref' && typeof inner === 'string' && inner.startsWith(REFERENCE)
      ? [inner.slice(REFERENCE.length)]
      : referencesIn(inner),
  );
}

/** Leaves out the schemas that have a name and that this document does not refer to: another service has them. */
function keepReferred(document: OpenAPIV3.Document): OpenAPIV3.Document {
  const schemas = document.components?.schemas ?? {};
  const kept = new Set<string>();
  const open = referencesIn(document.paths);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (kept.has(name)) continue;
    kept.add(name);
    open.push(...referencesIn(schemas[name]));
  }
  const referred = Object.fromEntries(Object.entries(schemas).filter(([name]) => kept.has(name)));
  return { ...document, components: { ...document.components, schemas: referred } };
}

/** Registers the document. It has to come before the routes, which are collected as they are added. */
export async function registerOpenApi(app: FastifyInstance, options: OpenApiOptions): Promise<void> {
  const { title, description, page = true } = options;
  await app.register(swagger, {
    openapi: {
      info: { title, description, version: '0.1.0' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => keepReferred(jsonSchemaTransformObject(document) as OpenAPIV3.Document),
  });
  if (page) await app.register(swaggerUi, { routePrefix: '/docs' });
}

/** The OpenAPI document of an app. It may be read before the app listens. */
export async function openApiOf(app: FastifyInstance): Promise<OpenAPIV3.Document> {
  await app.ready();
  return app.swagger() as OpenAPIV3.Document;
}
