import { type HttpApp, refusalsOf, within, writeAsIs } from '@groupcast/service-kit';
import type { ErrorCode } from '@groupcast/shared';
import type { WatchedDatabase } from '../db/watched-database.ts';
import { liveAnswer, readyAnswer, unreadyAnswer } from './answers.ts';

const DATABASE_TIMEOUT_MS = 2_000;

/** Adds `/livez` and `/readyz` to a port. */
export type Probes = (app: HttpApp, options: { isHidden: boolean; portRefusals: readonly ErrorCode[] }) => void;

/** However many callers ask, on whichever port, the database is checked once at a time. */
export function createProbes(deps: {
  db: WatchedDatabase;
  isDraining: () => boolean;
  isRelayed: () => boolean;
}): Probes {
  let checking: Promise<boolean> | undefined;

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

  return (app, { isHidden, portRefusals }) => {
    const probe = (summary: string, response: Record<number, object>) => ({
      schema: { summary, hide: isHidden, tags: ['health'], response: { ...refusalsOf(portRefusals), ...response } },
      serializerCompiler: writeAsIs,
      // Probes have no budget: they cost next to nothing.
      config: { limitedBy: 'nobody' as const },
    });
    const ready = { 200: readyAnswer.describe('Ready'), 503: unreadyAnswer.describe('Not ready, and why not') };
    app.get('/livez', probe('Whether the process runs', { 200: liveAnswer.describe('It runs') }), async () => ({
      status: 'live',
    }));
    app.get('/readyz', probe('Whether it can do its work', ready), async (_request, reply) => {
      const failing = [...(deps.isDraining() ? ['draining'] : []), ...((await databaseAnswers()) ? [] : ['database'])];
      if (failing.length > 0) return reply.status(503).send({ status: 'unready', failing });
      // Messages that are saved meanwhile are relayed later, so it is to be given work.
      return deps.isRelayed() ? { status: 'ready' } : { status: 'degraded', degraded: ['relay'] };
    });
  };
}
