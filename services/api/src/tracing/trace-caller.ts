import { bearerToken } from '@groupcast/service-kit';
import { AUDIENCE, GroupcastError, type ServiceScope } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { callerOf, tokenRefusalLog } from '../http/authenticate.ts';
import type { RequestBudgets } from '../http/request-budgets.ts';
import type { Viewer } from './trace-service.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The service that asks, set by `requireUserOrService`. */
    service: string | null;
  }
}

/** Scopes with which a service may trace, the narrower one first. */
const SCOPES: readonly ServiceScope[] = ['monitor', 'broadcast'];

/** Whether the token says that it is for services that ask the API. Nothing is verified: it decides which rules it is held to. */
function isForServices(token: string): boolean {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { aud?: unknown };
    return [claims.aud].flat().includes(AUDIENCE.api);
  } catch {
    return false;
  }
}

function tokenOf(request: FastifyRequest): string | undefined {
  // Without a Bearer the token of a user may be in another place.
  return request.headers.authorization === undefined ? undefined : bearerToken(request);
}

/** Accepts user tokens as `requireUser` does, and service tokens (aud `groupcast-api`, scope `monitor` or `broadcast`). */
export function requireUserOrService(deps: {
  requireUser: onRequestAsyncHookHandler;
  services: ServiceTokenVerifier;
  budgets: RequestBudgets;
}): onRequestAsyncHookHandler {
  const logRefusal = tokenRefusalLog('a service token');

  async function verify(token: string): Promise<string> {
    const { subject, scopes } = await deps.services.verify(token);
    if (SCOPES.some((scope) => scopes.has(scope))) return subject;
    const wanted = SCOPES.map((scope) => `"${scope}"`).join(' or ');
    throw new GroupcastError('FORBIDDEN', `unable to serve the request; the token lacks the scope ${wanted}`);
  }

  return async function accept(request, reply) {
    const token = tokenOf(request);
    if (token === undefined || !isForServices(token)) {
      await deps.requireUser.call(this, request, reply);
      return;
    }
    try {
      request.service = await verify(token);
    } catch (error) {
      logRefusal(request, error);
      deps.budgets.countRefused(request);
      throw error;
    }
    deps.budgets.countUser(keyOf(request));
  };
}

/** The name under which the caller's requests are counted, and wait for each other. No user id has a space. */
export function keyOf(request: FastifyRequest): string {
  return request.service === null ? callerOf(request).userId : `service ${request.service}`;
}

export function viewerOf(request: FastifyRequest): Viewer {
  return request.service === null ? { kind: 'user', userId: callerOf(request).userId } : { kind: 'service' };
}
