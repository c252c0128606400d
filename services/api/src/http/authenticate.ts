import { findToken, type Origins, type TokenPlace, tokenMissing, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError, type UserClaims } from '@groupcast/shared';
import { refusalOf, type UserTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { RequestBudgets } from './request-budgets.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller, set by `requireUser`. */
    user: UserClaims | null;
  }
}

/** The caller, behind `requireUser`. */
export function callerOf(request: FastifyRequest): UserClaims {
  if (!request.user) throw new Error('a route reads its caller without requireUser');
  return request.user;
}

/**
 * Logs why tokens are refused, once a minute for each fault: their issuer has another secret, another clock or other claims, and in
 * production the answer does not say which. `whose` begins the line.
 */
export function tokenRefusalLog(whose: string): (request: FastifyRequest, error: unknown) => void {
  const warn = warnOnceEvery(60_000);
  return (request, error) => {
    const refusal = refusalOf(error);
    if (error instanceof GroupcastError && error.code === 'ORIGIN_FORBIDDEN') {
      const { origin } = request.headers;
      warn(error.code, (suppressed) => {
        request.log.warn(
          { code: error.code, origin, address: request.ip, suppressed },
          `${whose} was refused; ${error.message}`,
        );
      });
    }
    if (!refusal) return;
    const { fault, message: reason } = refusal;
    warn(fault, (suppressed) => {
      request.log.warn({ fault, address: request.ip, suppressed }, `${whose} was refused; ${reason}`);
    });
  };
}

/**
 * Accepts user tokens, and nothing else: a connection token is for the relay alone. A refused token costs the budget of its address, an
 * accepted one that of its user, even where something else is wrong with the request.
 */
export function requireUser(
  deps: { verifier: UserTokenVerifier; budgets: RequestBudgets },
  { tokenPlaces, origins }: { tokenPlaces: readonly TokenPlace[]; origins: Origins },
): onRequestAsyncHookHandler {
  const queryNames = tokenPlaces.flatMap((place) => (place.kind === 'query' ? [place.name] : []));

  function tokenOf(request: FastifyRequest): string {
    const query = request.query as Record<string, unknown>;
    const token = findToken(tokenPlaces, { method: request.method, headers: request.headers, query }, origins);
    if (token === undefined) throw tokenMissing(tokenPlaces);
    // A route knows its own parameters, and refuses all others.
    for (const name of queryNames) delete query[name];
    // Two parameters of one name make a list, which is no token.
    return typeof token === 'string' ? token : '-';
  }

  async function verify(request: FastifyRequest): Promise<UserClaims> {
    const claims = await deps.verifier.verify(tokenOf(request));
    if (claims.kind === 'user') return claims;
    throw new GroupcastError('TOKEN_INVALID', 'unable to accept the token; a connection token is only for the relay');
  }

  const logRefusal = tokenRefusalLog('a token');

  return async (request) => {
    try {
      request.user = await verify(request);
    } catch (error) {
      logRefusal(request, error);
      deps.budgets.countRefused(request);
      throw error;
    }
    deps.budgets.countUser(request.user.userId);
  };
}
