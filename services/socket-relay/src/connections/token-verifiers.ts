import { type Logger, logKeyProblems } from '@groupcast/service-kit';
import { AUDIENCE } from '@groupcast/shared';
import {
  createServiceTokenVerifier,
  createUserTokenVerifier,
  type ServiceTokenVerifier,
  type UserTokenVerifier,
} from '@groupcast/tokens';
import type { RelayConfig } from '../config.ts';
import { noteGroupProblem } from '../membership/group-problems.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Notices } from '../monitor/notices.ts';

/**
 * Makes the verifiers of user and service tokens. Faults of keys and claims are reported in the log and to monitors. With
 * `AUTH_BY=back-end` there may be no secret for user tokens, and none of them is accepted.
 */
export function createTokenVerifiers(deps: {
  config: Pick<RelayConfig, 'authBy' | 'tokens' | 'relaySecrets' | 'apiUrl'>;
  notices: Notices;
  metrics: RelayMetrics;
  log: Logger;
}): { users: UserTokenVerifier | undefined; services: ServiceTokenVerifier } {
  const { config, notices, metrics, log } = deps;
  const { clockSkewSeconds } = config.tokens;
  const services = createServiceTokenVerifier({ ...config.relaySecrets, clockSkewSeconds, audience: AUDIENCE.relay });
  if (config.authBy === 'back-end') return { users: undefined, services };
  const users = createUserTokenVerifier({
    ...config.tokens,
    onKeyProblem: logKeyProblems(log),
    onGroupProblem: (problem) => noteGroupProblem(notices, problem, config.apiUrl !== undefined),
  });
  metrics.watchKeys(users.staleKeysSeconds);
  return { users, services };
}
