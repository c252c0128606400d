import type { Logger } from './logger.ts';
import { warnOnceEvery } from './warn-once-every.ts';

const INTERVAL_MS = 60_000;

/** For `onKeyProblem` of a token verifier: says once a minute why tokens are refused although nothing may be wrong with them. */
export function logKeyProblems(log: Logger): (problem: Error) => void {
  const warn = warnOnceEvery(INTERVAL_MS);
  return (problem) =>
    warn(problem.name, (suppressed) =>
      log.error(
        { err: problem, suppressed },
        'tokens are refused because of what JWT_JWKS_URL answers: ask whoever runs the identity provider',
      ),
    );
}
