import { bearerToken } from '@groupcast/service-kit';
import { GroupcastError, type UserClaims } from '@groupcast/shared';
import type { UserTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { UserStore } from '../users/user-store.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set behind `requireUser`. */
    user: UserClaims | null;
  }
}

/** The caller, behind `requireUser`. */
export function callerOf(request: FastifyRequest): UserClaims {
  if (!request.user) throw new Error('a route asks for its caller without requireUser');
  return request.user;
}

/** Lets user tokens in, and nothing else: a connection token opens the relay's door, not this one. */
export function requireUser(deps: { verifier: UserTokenVerifier; users: UserStore }): onRequestAsyncHookHandler {
  return async (request) => {
    const claims = await deps.verifier.verify(bearerToken(request));
    if (claims.kind !== 'user') {
      throw new GroupcastError('TOKEN_INVALID', 'unable to accept the token; a connection token is only for the relay');
    }
    await deps.users.remember(claims);
    request.user = claims;
  };
}
