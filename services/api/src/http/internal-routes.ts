import { bearerToken, type HttpScope } from '@groupcast/service-kit';
import { membershipQuerySchema } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { Database } from '../db/database.ts';
import { membershipsOf } from '../groups/group-store.ts';

/** What the relay asks. Service tokens with `aud: groupcast-api` and scope `relay` only. */
export function internalRoutes(scope: HttpScope, deps: { db: Database; services: ServiceTokenVerifier }): void {
  scope.addHook('onRequest', async (request) => {
    await deps.services.verify(bearerToken(request), 'relay');
  });
  scope.post('/internal/memberships', { schema: { hide: true, body: membershipQuerySchema } }, async (request) => ({
    users: await membershipsOf(deps.db, request.body.users),
  }));
}
