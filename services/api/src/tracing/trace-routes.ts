import type { HttpScope } from '@groupcast/service-kit';
import { traceAnswer } from '../http/answers.ts';
import { yieldTurn } from '../http/request-turns.ts';
import { traceParams, traceQuery } from '../http/schemas.ts';
import { viewerOf } from './trace-caller.ts';
import { type TraceDeps, traceMessage } from './trace-service.ts';

/** The route by which a message is traced. It takes the tokens of users and of services. */
export function traceRoutes(scope: HttpScope, deps: TraceDeps): void {
  scope.get(
    '/api/messaging/messages/:messageId/trace',
    {
      schema: {
        summary: 'At which hop a message is, and for whom',
        params: traceParams,
        querystring: traceQuery,
        response: { 200: traceAnswer.describe('Its hops, a page of its recipients, and a verdict with a fix') },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND', 'SERVICE_TOKEN_INVALID'] },
    },
    async (request) => {
      const { params, query } = request;
      const viewer = viewerOf(request);
      return traceMessage({ ...deps, onAsking: () => yieldTurn(request) }, { ...params, ...query, viewer });
    },
  );
}
