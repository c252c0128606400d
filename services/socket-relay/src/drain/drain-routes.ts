import { bearerToken, type HttpScope } from '@groupcast/service-kit';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import { z } from 'zod';
import type { DrainProgress } from './drain.ts';
import type { MachineDrain } from './machine-drain.ts';

const MAX_SECONDS = 3_600;

const drainSchema = z
  .strictObject({ seconds: z.number().min(0).max(MAX_SECONDS).optional() })
  .nullish()
  .describe('How long to spread it; without it SHUTDOWN_DRAIN_SECONDS');
const waitSchema = z.strictObject({ wait: z.enum(['true', 'false']).default('true') });
const progressSchema = z.object({
  ok: z.literal(true),
  state: z.enum(['serving', 'draining', 'drained']),
  total: z.int().describe('Connections that were here when it began, or came out of their handshake since'),
  moved: z.int().describe('Gone from this machine'),
  recovered: z
    .int()
    .nullable()
    .describe(
      'Of these, back at other relays with their positions, with nothing lost, so far; null without Redis, or without a drain',
    ),
  remaining: z.int().describe('Still here, and served'),
});

/** Routes that empty the relays of this machine for maintenance while their processes stay. Each machine is asked at its own internal port. */
export function drainRoutes(scope: HttpScope, deps: { drain: MachineDrain; services: ServiceTokenVerifier }): void {
  const { drain, services } = deps;
  const answer = async (progress: DrainProgress): Promise<z.infer<typeof progressSchema>> => ({
    ok: true,
    ...progress,
    recovered: await drain.recovered(),
  });

  scope.addHook('onRequest', async (request) => {
    await services.verify(bearerToken(request), 'admin');
  });
  scope.post(
    '/v1/drain',
    {
      schema: {
        summary: 'Move every connection away and refuse new ones; answers when the last one is gone',
        description: 'A second one joins the first, whose time stays. `wait=false` answers 202 at once.',
        body: drainSchema,
        querystring: waitSchema,
        response: { 200: progressSchema, 202: progressSchema },
      },
    },
    async (request, reply) => {
      const seconds = request.body?.seconds;
      const begun = await drain.begin(seconds === undefined ? undefined : seconds * 1_000);
      if (request.query.wait === 'true') return answer(await drain.finished());
      return reply.status(202).send(await answer(begun));
    },
  );
  const schema = { response: { 200: progressSchema } };
  scope.get('/v1/drain', { schema: { ...schema, summary: 'How far the drain has got' } }, async () =>
    answer(await drain.progress()),
  );
  scope.delete(
    '/v1/drain',
    { schema: { ...schema, summary: 'Serve again; a drain that runs is given up' } },
    async () => answer(await drain.undo()),
  );
}
