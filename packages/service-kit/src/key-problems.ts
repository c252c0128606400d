import type { Logger } from './logger.ts';
import { warnOnceEvery } from './warn-once-every.ts';

const INTERVAL_MS = 60_000;

/**
 * For `onKeyProblem` of a token verifier: says once a minute that keys could not be read again, and are used all the same, or why tokens
 * are refused although nothing may be wrong with them.
 */
export function logKeyProblems(log: Logger): (problem: Error) => void {
  const warn = warnOnceEvery(INTERVAL_MS);
  return (problem) =>
    warn(problem.name, (suppressed) => {
      if (problem.name === 'KeySetStale') {
        log.warn(
          { err: problem, suppressed },
          'JWT_JWKS_URL cannot be read: tokens are checked with the keys that were read last, for JWT_JWKS_MAX_STALE_SECONDS',
        );
        return;
      }
      log.error(
        { err: problem, suppressed },
        'tokens are refused because of what JWT_JWKS_URL answers: ask the operator of the identity provider',
      );
    });
}
