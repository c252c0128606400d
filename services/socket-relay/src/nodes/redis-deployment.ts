import { ConfigurationError, fingerprintsOf, type RelaySecrets } from '@groupcast/service-kit';
import type { RedisClient } from '../redis/clients.ts';
import { loadScript } from '../redis/lua.ts';
import type { RedisNames } from '../redis/names.ts';
import { RELAYS } from '../wire-format.ts';

/**
 * Tells by the secret of its service tokens which deployment a relay belongs to. Relays that share a Redis and a prefix deliver each
 * other's events, so they must be one deployment. Beside its lease each relay keeps fingerprints of its secrets in Redis. They are compared
 * at the start, when the newcomer gives way, and with every renewal (`redis-leases.ts`), because a Redis that has lost its memory lets
 * anybody start.
 */
export interface RedisDeployment {
  /** Keys of the leases: nodes, nodes with monitors, deployments of nodes, canaries of nodes, nodes that are lost. */
  readonly keys: readonly string[];
  /** The text that this relay keeps beside its lease: its node and its fingerprints. */
  readonly mark: string;
  /**
   * Puts this relay beside the leases for `ms`, unless nodes of another deployment are there: then nothing is written, and it throws
   * `ConfigurationError`. A relay of an earlier version keeps no fingerprint, and counts as one of this deployment.
   */
  enter(ms: number): Promise<void>;
}

const ENTER = loadScript('deployment-strangers', 'deployment-enter');

export function createRedisDeployment(deps: {
  redis: RedisClient;
  names: RedisNames;
  node: string;
  secrets: RelaySecrets;
}): RedisDeployment {
  const { redis, names, node, secrets } = deps;
  const keys = ['leases', 'monitors', 'deployments', 'canaries', 'lost'].map((name) => names.key(`${RELAYS}:${name}`));
  const mark = `${node} ${fingerprintsOf(secrets).join(',')}`;

  return {
    keys,
    mark,
    async enter(ms) {
      const strangers = (await redis.eval(ENTER, 1, keys[2] ?? '', mark, ms)) as string[];
      if (strangers.length === 0) return;
      throw new ConfigurationError([
        `REDIS_URL leads to a Redis in which relays of another deployment use REDIS_PREFIX "${names.prefix}" in database ${names.database}` +
          ` (${strangers.join(', ')}: their RELAY_SERVICE_SECRET is another one). Give this deployment a REDIS_PREFIX of its own or, where it` +
          ' is theirs and the secret is being changed, set RELAY_SERVICE_SECRET_PREVIOUS',
      ]);
    },
  };
}
