import { existsSync } from 'node:fs';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { HttpApp, Logger } from '@groupcast/service-kit';

const DEMO_PAGE = fileURLToPath(new URL('../../../../apps/demo/dist', import.meta.url));
/** The folder of files whose names change with their content. */
const HASHED = `${sep}assets${sep}`;
const YEAR_SECONDS = 365 * 24 * 3_600;

/** Serves the built demo: compressed where the build has compressed it, and asked for again only where it may have changed. */
export async function demoPage(app: HttpApp, log: Logger): Promise<void> {
  if (!existsSync(DEMO_PAGE)) return log.warn('the demo page is not built: run npm run build');
  await app.register(fastifyStatic, {
    root: DEMO_PAGE,
    preCompressed: true,
    cacheControl: false,
    setHeaders(reply, path) {
      const isHashed = path.includes(HASHED);
      reply.header('cache-control', isHashed ? `public, max-age=${YEAR_SECONDS}, immutable` : 'no-cache');
    },
  });
}
