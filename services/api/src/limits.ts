import type { Environment } from '@groupcast/service-kit';

/** What one caller may cost, so that it costs the others nothing. */
export interface ApiLimits {
  /** Requests a minute of one user, and of one address those without a user: refused tokens, `/docs`, what does not exist. */
  requestsPerMinute: number;
  /** Requests a minute of one address, whoever makes them: many people may share it. */
  addressRequestsPerMinute: number;
  /** Requests of one user that are in work at once. */
  concurrencyPerUser: number;
  /** Requests of one user that wait for that, unread. */
  queuePerUser: number;
}

/** One address may be an office or a proxy. */
const USERS_PER_ADDRESS = 10;
const MAX_PER_MINUTE = 10_000_000;

export function readApiLimits(env: Environment): ApiLimits {
  const requestsPerMinute = env.integer('API_RATE_LIMIT_PER_MINUTE', 6_000, { min: 1, max: MAX_PER_MINUTE });
  return {
    requestsPerMinute,
    addressRequestsPerMinute: env.integer(
      'API_ADDRESS_RATE_LIMIT_PER_MINUTE',
      Math.min(MAX_PER_MINUTE, requestsPerMinute * USERS_PER_ADDRESS),
      { min: 1, max: MAX_PER_MINUTE },
    ),
    concurrencyPerUser: env.integer('API_CONCURRENCY_PER_USER', 8, { min: 1, max: 10_000 }),
    queuePerUser: env.integer('API_QUEUE_PER_USER', 100, { min: 0, max: 100_000 }),
  };
}
