import type { HttpScope } from '@groupcast/service-kit';
import { MAX_TOKEN_GROUPS_BYTES } from '@groupcast/shared';
import { signConnectionToken } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import type { Database } from '../db/database.ts';
import { groupIdsOf } from '../groups/group-store.ts';
import { realtimeTokenAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { isPresenceHidden } from '../users/user-store.ts';

/** Most groups that a token names, the most recently active first; the rest is joined by request. */
const MAX_GROUPS_IN_TOKEN = 1_000;

/** The URL by which the caller reached this port, as far as proxies that are believed (`TRUST_PROXY`) say it. It is told to that caller alone. */
function askedUrlOf({ protocol, host, hostname }: FastifyRequest): string {
  const url = `${protocol}://${host}`;
  return URL.canParse(url) ? new URL(url).origin : `${protocol}://${hostname}`;
}

export function realtimeRoutes(
  scope: HttpScope,
  deps: { db: Database; connectionSecret: string; relayPublicUrl: string | undefined },
): void {
  scope.post(
    '/api/realtime/token',
    {
      schema: {
        summary: 'A connection token for the relay, at most 10 minutes',
        response: { 200: realtimeTokenAnswer.describe('The token, and where the relay is') },
      },
    },
    async (request) => {
      // Before the groups are read: a member removed in between must not look as if removed before the token.
      const issuedAt = Math.floor(Date.now() / 1_000);
      const user = callerOf(request);
      const groups = await groupIdsOf(deps.db, user.userId, {
        ids: MAX_GROUPS_IN_TOKEN,
        bytes: MAX_TOKEN_GROUPS_BYTES,
      });
      const presence = (await isPresenceHidden(deps.db, user.userId)) ? false : undefined;
      const token = await signConnectionToken({ secret: deps.connectionSecret, user, groups, issuedAt, presence });
      return { ...token, relayUrl: deps.relayPublicUrl ?? askedUrlOf(request) };
    },
  );
}
