import { addressKey, createRateLimiter, type Logger, type RateLimiter, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { FastifyRequest } from 'fastify';
import type { ApiLimits } from '../limits.ts';
import type { ApiMetrics } from '../metrics.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whose budget a request costs once the caller is known; by default the address's. */
    limitedBy?: 'user' | 'service' | 'nobody';
  }
}

/**
 * Counts every request before it is parsed: one that is malformed costs as much as one that is served.
 *
 * Requests of a user cost the user's own budget, so that people behind one address do not share one. Requests without a user, such as one
 * with a refused token, for a page of `/docs` or for a route that does not exist, cost a budget of the address; where that is used up,
 * users of the same address are still served. A third budget bounds all users of one address together, and only they spend it.
 *
 * Each throws `RATE_LIMITED` where the budget is spent.
 */
export interface RequestBudgets {
  /** Counts a request before anything else is done for it. */
  count(request: FastifyRequest): void;
  /** Counts a request whose token was refused. */
  countRefused(request: FastifyRequest): void;
  countUser(userId: string): void;
  /** Notes in log and metrics which caller was refused, and by which bound. */
  noteRefusal(by: 'user' | 'address' | 'queue', caller: object): void;
}

export function createRequestBudgets(
  deps: { metrics: ApiMetrics; log: Logger },
  limits: ApiLimits & { trustedProxies: number },
): RequestBudgets {
  const users = createRateLimiter({ perMinute: limits.requestsPerMinute });
  const addresses = createRateLimiter({ perMinute: limits.addressRequestsPerMinute });
  const anonymous = createRateLimiter({ perMinute: limits.requestsPerMinute });
  const warn = warnOnceEvery(60_000);

  function noteRefusal(by: 'user' | 'address' | 'queue', caller: object): void {
    deps.metrics.requestsLimited.inc({ by });
    warn(by, (suppressed) => deps.log.warn({ code: 'RATE_LIMITED', by, ...caller, suppressed }, 'requests refused'));
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
      // Browsers send a preflight for each request of a user, without the user's token.
      if (limitedBy === undefined && request.method !== 'OPTIONS') spend(anonymous, 'address', address);
      else spend(addresses, 'address', address);
    },
    countRefused(request) {
      const address = addressKey(request.ip);
      // The request belongs to no user, so it must not use up what the users of the address may ask.
      addresses.giveBack(address);
      spend(anonymous, 'address', address);
    },
    countUser(userId) {
      spend(users, 'user', userId);
    },
    noteRefusal,
  };
}
