import { bearerToken, type HttpScope } from '@groupcast/service-kit';
import { cursorUpdatesSchema, historyFillQuerySchema, membershipQuerySchema } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import { storeCursors } from '../cursors/cursor-store.ts';
import type { Database } from '../db/database.ts';
import { readAccepted } from '../events/history-store.ts';
import { membershipsOf } from '../groups/group-store.ts';
import { tokenRefusalLog } from '../http/authenticate.ts';

/** 100 users with their groups, or 1,000 cursors, with ids of any length. */
const BODY_LIMIT_BYTES = 4 * 1_024 * 1_024;

/**
 * What the relay asks. Service tokens with `aud: groupcast-api` and scope `relay` only, on the internal port too: that it is reached
 * proves less than that.
 */
export function internalRoutes(
  scope: HttpScope,
  deps: { db: Database; services: ServiceTokenVerifier; onRefused?: (request: FastifyRequest) => void },
): void {
  // One relay speaks for all its users: their limits are its own.
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, limitedBy: 'service' };
    route.bodyLimit = BODY_LIMIT_BYTES;
  });
  const logRefusal = tokenRefusalLog('a relay’s service token');
  scope.addHook('onRequest', async (request) => {
    await deps.services.verify(bearerToken(request), 'relay').catch((error: unknown) => {
      logRefusal(request, error);
      deps.onRefused?.(request);
      throw error;
    });
  });
  scope.post('/internal/memberships', { schema: { hide: true, body: membershipQuerySchema } }, async (request) => ({
    users: await membershipsOf(deps.db, request.body.users),
  }));
  scope.post('/internal/history', { schema: { hide: true, body: historyFillQuerySchema } }, async (request) => ({
    groups: await readAccepted(deps.db, request.body.groups, request.body.limit),
  }));
  scope.post('/internal/cursors', { schema: { hide: true, body: cursorUpdatesSchema } }, async (request) => {
    await storeCursors(deps.db, request.body.cursors);
    return {};
  });
}
