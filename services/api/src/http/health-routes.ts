import { bearerToken, type HttpApp } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import type { WatchedDatabase } from '../db/watched-database.ts';
import type { ApiMetrics } from './metrics.ts';

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;
const DATABASE_TIMEOUT_MS = 2_000;

/** From this machine itself, and not through a proxy on it. */
function isLocal(request: FastifyRequest): boolean {
  return LOOPBACK.test(request.socket.remoteAddress ?? '') && request.headers['x-forwarded-for'] === undefined;
}

export function healthRoutes(
  app: HttpApp,
  deps: { db: WatchedDatabase; services: ServiceTokenVerifier; metrics: ApiMetrics; isDraining: () => boolean },
): void {
  const hidden = { schema: { hide: true }, config: { rateLimit: false } };

  async function databaseAnswers(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), DATABASE_TIMEOUT_MS);
    });
    const asked = deps.db.check().then(
      () => true,
      () => false,
    );
    return Promise.race([asked, late]).finally(() => clearTimeout(timer));
  }

  app.get('/livez', hidden, async () => ({ status: 'live' }));
  app.get('/readyz', hidden, async (_request, reply) => {
    const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await databaseAnswers()) ? [] : ['database'])];
    return failing.length > 0 ? reply.status(503).send({ status: 'unready', failing }) : { status: 'ready' };
  });
  app.get('/metrics', hidden, async (request, reply) => {
    if (!isLocal(request)) {
      await deps.services.verify(bearerToken(request)).catch((error: unknown) => {
        throw new GroupcastError(
          'SERVICE_TOKEN_INVALID',
          'unable to show metrics; ask from this machine, or with a service token',
          {
            cause: error,
          },
        );
      });
    }
    reply.type(deps.metrics.registry.contentType);
    return deps.metrics.registry.metrics();
  });
}
