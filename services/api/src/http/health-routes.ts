import { bearerToken, type HttpApp, isFromThisMachine, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import type { WatchedDatabase } from '../db/watched-database.ts';
import { within } from '../within.ts';
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
  let checking: Promise<boolean> | undefined;

  /** However often it is asked, and however long it takes, the database has one such question at a time. */
  async function databaseAnswers(): Promise<boolean> {
    checking ??= deps.db
      .check()
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        checking = undefined;
      });
    return within(DATABASE_TIMEOUT_MS, 'the database', checking).catch(() => false);
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

  app.get('/livez', probe, async () => ({ status: 'live' }));
  app.get('/readyz', probe, async (_request, reply) => {
    const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await databaseAnswers()) ? [] : ['database'])];
    return failing.length > 0 ? reply.status(503).send({ status: 'unready', failing }) : { status: 'ready' };
  });
  app.get('/metrics', { ...probe, config: { limitedBy: 'service' } }, async (request, reply) => {
    if (!isFromThisMachine(request)) await requireWatcher(request);
    reply.type(deps.metrics.registry.contentType);
    return deps.metrics.registry.metrics();
  });
}
