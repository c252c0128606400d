import { bearerToken } from '@groupcast/service-kit';
import { GroupcastError, type UserClaims } from '@groupcast/shared';
import type { UserTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { RequestBudgets } from './request-budgets.ts';

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

/**
 * Lets user tokens in, and nothing else: a connection token opens the relay's door, not this one. A refused token costs the budget of
 * its address, an accepted one that of its user, whatever else is wrong with the request.
 */
export function requireUser(deps: { verifier: UserTokenVerifier; budgets: RequestBudgets }): onRequestAsyncHookHandler {
  async function verify(request: FastifyRequest): Promise<UserClaims> {
    const claims = await deps.verifier.verify(bearerToken(request));
    if (claims.kind === 'user') return claims;
    throw new GroupcastError('TOKEN_INVALID', 'unable to accept the token; a connection token is only for the relay');
  }

  return async (request) => {
    try {
      request.user = await verify(request);
    } catch (error) {
      deps.budgets.countRefused(request);
      throw error;
    }
    deps.budgets.countUser(request.user.userId);
  };
}
