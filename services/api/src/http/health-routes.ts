import { type HttpApp, within } from '@groupcast/service-kit';
import type { WatchedDatabase } from '../db/watched-database.ts';

const DATABASE_TIMEOUT_MS = 2_000;

/** Adds `/livez` and `/readyz` to a port. However many ports and callers ask, the database has one such question at a time. */
export function createProbes(deps: { db: WatchedDatabase; isDraining: () => boolean }): (app: HttpApp) => void {
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
    return within(DATABASE_TIMEOUT_MS, checking, 'the database').catch(() => false);
  }

  return (app) => {
    app.get('/livez', probe, async () => ({ status: 'live' }));
    app.get('/readyz', probe, async (_request, reply) => {
      const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await databaseAnswers()) ? [] : ['database'])];
      return failing.length > 0 ? reply.status(503).send({ status: 'unready', failing }) : { status: 'ready' };
    });
  };
}
