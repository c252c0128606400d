import { addressKey, createRateLimiter, type RateLimiter } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';

/** Requests without a valid token that an address may have answered by their own code, in a minute. */
const STRANGERS_PER_MINUTE = 600;
/** Requests of all back ends of one address, as a multiple of those of one back end. */
const ADDRESS_FACTOR = 10;

/**
 * Counts the requests to the broadcast API on the public port. A request without a valid token costs a budget of its address that nobody
 * else spends: behind a proxy all callers have one address, and strangers must not use up what back ends may ask. A request with one costs
 * the budget of the token's subject, and one that all back ends of the address share.
 *
 * Each throws `RATE_LIMITED` where the budget is spent.
 */
export interface PublisherBudgets {
  countStranger(address: string | undefined): void;
  countPublisher(address: string | undefined, subject: string): void;
}

export function createPublisherBudgets(
  { requestsPerMinute }: { requestsPerMinute: number },
  now?: () => number,
): PublisherBudgets {
  const clock = now ? { now } : {};
  const strangers = createRateLimiter({ perMinute: STRANGERS_PER_MINUTE, ...clock });
  const addresses = createRateLimiter({ perMinute: requestsPerMinute * ADDRESS_FACTOR, ...clock });
  const subjects = createRateLimiter({ perMinute: requestsPerMinute, ...clock });

  function spend(limiter: RateLimiter, key: string, whose: string): void {
    const retryAfterMs = limiter.take(key);
    if (retryAfterMs === undefined) return;
    throw new GroupcastError('RATE_LIMITED', `unable to serve the request; too many requests of ${whose}`, {
      retryAfterMs,
    });
  }

  return {
    countStranger: (address = '') => spend(strangers, addressKey(address), 'this address without a valid token'),
    countPublisher(address = '', subject) {
      const key = addressKey(address);
      spend(addresses, key, 'this address');
      try {
        spend(subjects, subject, 'this back end (the sub of its token)');
      } catch (refusal) {
        addresses.giveBack(key);
        throw refusal;
      }
    },
  };
}
