import type { HttpApp } from '@groupcast/service-kit';
import type { WatchedDatabase } from '../db/watched-database.ts';

const DATABASE_TIMEOUT_MS = 2_000;

/** Adds `/livez` and `/readyz` to a port. However many ports and callers ask, the database has one such question at a time. */
export function createProbes(deps: { db: WatchedDatabase; isDraining: () => boolean }): (app: HttpApp) => void {
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

  async function askOnce(): Promise<boolean> {
    asking ??= databaseAnswers().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  return (app) => {
    app.get('/livez', probe, async () => ({ status: 'live' }));
    app.get('/readyz', probe, async (_request, reply) => {
      const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await askOnce()) ? [] : ['database'])];
      return failing.length > 0 ? reply.status(503).send({ status: 'unready', failing }) : { status: 'ready' };
    });
  };
}
