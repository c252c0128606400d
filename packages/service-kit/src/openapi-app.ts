import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import swagger from '@fastify/swagger';
import swaggerUi, { type FastifySwaggerUiOptions } from '@fastify/swagger-ui';
import fastify, { type FastifyInstance, type RouteOptions } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { OpenAPIV3 } from 'openapi-types';

/** How a service describes itself in its OpenAPI document. */
export interface OpenApiOptions {
  title: string;
  description: string;
  /** False where the document is for `openApiOf` alone, and no page is served at `/docs`. */
  page?: boolean;
}

/** The files of the page, as the build has copied them. A process that runs from the sources finds those of the package. */
const PAGE = fileURLToPath(new URL('../dist/docs-page', import.meta.url));
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

const unserved = async (): Promise<never> => {
  throw new Error('the routes of this app are there to be described');
};

async function pageFiles(): Promise<FastifySwaggerUiOptions> {
  if (!existsSync(PAGE)) return {};
  return { baseDir: PAGE, logo: { type: 'image/svg+xml', content: await readFile(join(PAGE, 'logo.svg')) } };
}

/** An app that describes `routes` of another one, and serves nothing but the document and its page, at `/docs`. It never listens. */
export async function createOpenApiApp(
  routes: readonly RouteOptions[],
  options: OpenApiOptions,
): Promise<FastifyInstance> {
  const { title, description, page = true } = options;
  const app = fastify({ exposeHeadRoutes: true });
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  await app.register(swagger, {
    openapi: {
      info: { title, description, version: '0.1.0' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => keepReferred(jsonSchemaTransformObject(document) as OpenAPIV3.Document),
  });
  for (const { method, url, schema = {}, config = {} } of routes) {
    const isShown = method !== 'HEAD' && !schema.hide;
    if (isShown) app.route({ method, url, schema, config, exposeHeadRoute: false, handler: unserved });
  }
  if (page) await app.register(swaggerUi, { routePrefix: '/docs', ...(await pageFiles()) });
  await app.ready();
  return app;
}
