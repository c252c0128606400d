import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { FastifyRequest } from 'fastify';
import type { ApiLimits } from '../limits.ts';
import type { ApiMetrics } from '../metrics.ts';
import { addressKey, createRateLimiter, type RateLimiter } from './rate-limiter.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whose budget a request costs once it is known who asks. Without it, the address's. */
    limitedBy?: 'user' | 'service' | 'nobody';
  }
}

/**
 * Counts every request before it is looked at, whatever becomes of it: one that is malformed costs as much as one that is served.
 *
 * What a user asks costs the user's own budget, so that people behind one address do not share one. The address pays for what nobody
 * answers for, such as a refused token, a page of `/docs` and a route that does not exist; where that is used up, users of the same
 * address are still served. What all users of one address may ask together is a third budget, and nobody but they spends it.
 *
 * Each throws `RATE_LIMITED` where the budget is spent.
 */
export interface RequestBudgets {
  /** Before anything else. */
  count(request: FastifyRequest): void;
  /** The token was refused. */
  countRefused(request: FastifyRequest): void;
  countUser(userId: string): void;
  /** Says in log and metrics that somebody was refused, by which bound. */
  noteRefusal(by: 'user' | 'address' | 'queue', who: object): void;
}

export function createRequestBudgets(
  deps: { metrics: ApiMetrics; log: Logger },
  limits: ApiLimits & { trustedProxies: number },
): RequestBudgets {
  const users = createRateLimiter({ perMinute: limits.requestsPerMinute });
  const addresses = createRateLimiter({ perMinute: limits.addressRequestsPerMinute });
  const anonymous = createRateLimiter({ perMinute: limits.requestsPerMinute });
  const warn = warnOnceEvery(60_000);

  function noteRefusal(by: 'user' | 'address' | 'queue', who: object): void {
    deps.metrics.requestsLimited.inc({ by });
    warn(by, (suppressed) => deps.log.warn({ code: 'RATE_LIMITED', by, ...who, suppressed }, 'requests refused'));
  }

  function spend(limiter: RateLimiter, by: 'user' | 'address', key: string): void {
    const retryAfterMs = limiter.take(key);
    if (retryAfterMs === undefined) return;
    noteRefusal(by, by === 'user' ? { userId: key } : { address: key });
    throw new GroupcastError('RATE_LIMITED', 'unable to serve the request; too many requests', { retryAfterMs });
  }

  return {
    count(request) {
      const { limitedBy } = request.routeOptions.config;
      if (limitedBy === 'nobody' || limitedBy === 'service') return;
      const address = addressKey(request.ip);
      if (limits.trustedProxies === 0 && request.headers['x-forwarded-for'] !== undefined) {
        warn('proxy', (suppressed) => {
          const message = 'requests come through a proxy that TRUST_PROXY does not name: its users share one address';
          deps.log.warn({ address, suppressed }, message);
        });
      }
      // A preflight is asked for each request of a user, without saying whose.
      if (limitedBy === undefined && request.method !== 'OPTIONS') spend(anonymous, 'address', address);
      else spend(addresses, 'address', address);
    },
    countRefused(request) {
      const address = addressKey(request.ip);
      // It was nobody's: what the users of the address may ask is not for it.
      addresses.giveBack(address);
      spend(anonymous, 'address', address);
    },
    countUser(userId) {
      spend(users, 'user', userId);
    },
    noteRefusal,
  };
}
