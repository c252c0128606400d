import { bearerToken, type HttpApp, isFromThisMachine, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import type { Database } from '../db/database.ts';
import type { ApiMetrics } from './metrics.ts';

const DATABASE_TIMEOUT_MS = 2_000;

export function healthRoutes(
  app: HttpApp,
  deps: { db: Database; services: ServiceTokenVerifier; metrics: ApiMetrics; isDraining: () => boolean },
): void {
  const refused = warnOnceEvery(60_000);
  const hidden = { schema: { hide: true }, config: { rateLimit: false } };

  async function databaseAnswers(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), DATABASE_TIMEOUT_MS);
    });
    const asked = deps.db.query('select 1').then(
      () => true,
      () => false,
    );
    return Promise.race([asked, late]).finally(() => clearTimeout(timer));
  }

  async function requireWatcher(request: FastifyRequest): Promise<void> {
    const why =
      'ask from this machine, by localhost and without a proxy, or with a service token of scope monitor or admin';
    const { scopes } = await deps.services.verify(bearerToken(request)).catch((cause: unknown) => {
      refused('metrics', (suppressed) => {
        const { host } = request.headers;
        request.log.warn({ code: 'SERVICE_TOKEN_INVALID', host, address: request.ip, suppressed }, 'metrics refused');
      });
      throw new GroupcastError('SERVICE_TOKEN_INVALID', `unable to show metrics; ${why}`, { cause });
    });
    if (!scopes.has('monitor') && !scopes.has('admin')) {
      throw new GroupcastError('FORBIDDEN', `unable to show metrics; ${why}`);
    }
  }

  app.get('/livez', hidden, async () => ({ status: 'live' }));
  app.get('/readyz', hidden, async (_request, reply) => {
    const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await databaseAnswers()) ? [] : ['database'])];
    return failing.length > 0 ? reply.status(503).send({ status: 'unready', failing }) : { status: 'ready' };
  });
  app.get('/metrics', hidden, async (request, reply) => {
    if (!isFromThisMachine(request)) await requireWatcher(request);
    reply.type(deps.metrics.registry.contentType);
    return deps.metrics.registry.metrics();
  });
}
