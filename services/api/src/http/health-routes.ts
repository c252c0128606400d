import { bearerToken, type HttpApp, isFromThisMachine, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import type { WatchedDatabase } from '../db/watched-database.ts';
import type { ApiMetrics } from './metrics.ts';
import type { RequestBudgets } from './request-budgets.ts';

const DATABASE_TIMEOUT_MS = 2_000;

export function healthRoutes(
  app: HttpApp,
  deps: {
    db: WatchedDatabase;
    services: ServiceTokenVerifier;
    metrics: ApiMetrics;
    budgets: RequestBudgets;
    isDraining: () => boolean;
  },
): void {
  const refused = warnOnceEvery(60_000);
  /** Probes are answered however much is asked: they cost next to nothing. */
  const probe = { schema: { hide: true }, config: { limitedBy: 'nobody' as const } };
  let asking: Promise<boolean> | undefined;

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

  async function requireWatcher(request: FastifyRequest): Promise<void> {
    const why =
      'ask from this machine, by localhost and without a proxy, or with a service token of scope monitor or admin';
    const { scopes } = await deps.services.verify(bearerToken(request)).catch((cause: unknown) => {
      deps.budgets.countRefused(request);
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
    if (!isFromThisMachine(request)) await requireWatcher(request);
    reply.type(deps.metrics.registry.contentType);
    return deps.metrics.registry.metrics();
  });
}
