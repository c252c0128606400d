import { bearerToken, type HttpApp } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import type { Database } from '../db/database.ts';
import type { ApiMetrics } from './metrics.ts';
import type { RequestBudgets } from './request-budgets.ts';

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;
const DATABASE_TIMEOUT_MS = 2_000;

/** From this machine itself, and not through a proxy on it. */
function isLocal(request: FastifyRequest): boolean {
  return LOOPBACK.test(request.socket.remoteAddress ?? '') && request.headers['x-forwarded-for'] === undefined;
}

export function healthRoutes(
  app: HttpApp,
  deps: {
    db: Database;
    services: ServiceTokenVerifier;
    metrics: ApiMetrics;
    budgets: RequestBudgets;
    isDraining: () => boolean;
  },
): void {
  /** Probes are answered however much is asked: they cost next to nothing. */
  const probe = { schema: { hide: true }, config: { limitedBy: 'nobody' as const } };
  let asking: Promise<boolean> | undefined;

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

  /** However often it is asked, the database has one such question at a time. */
  async function askOnce(): Promise<boolean> {
    asking ??= databaseAnswers().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  app.get('/livez', probe, async () => ({ status: 'live' }));
  app.get('/readyz', probe, async (_request, reply) => {
    const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await askOnce()) ? [] : ['database'])];
    return failing.length > 0 ? reply.status(503).send({ status: 'unready', failing }) : { status: 'ready' };
  });
  app.get('/metrics', { ...probe, config: { limitedBy: 'service' } }, async (request, reply) => {
    if (!isLocal(request)) {
      await deps.services.verify(bearerToken(request)).catch((error: unknown) => {
        deps.budgets.countRefused(request);
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
