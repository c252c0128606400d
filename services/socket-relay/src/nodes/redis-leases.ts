import type { RedisClient } from '../redis/clients.ts';
import { loadScript } from '../redis/lua.ts';
import type { RenewLease } from './node-leases.ts';
import type { RedisDeployment } from './redis-deployment.ts';

const RENEW = loadScript('deployment-strangers', 'lease-renew');

/** `machine`: the same for the workers of one machine, which are ready or unready together. */
export function createRedisLeases(redis: RedisClient, deployment: RedisDeployment, machine: string): RenewLease {
  return async (node, ms, hasMonitors, canaryAgeMs) => {
    const flag = hasMonitors ? '1' : '';
    const answer = await redis.eval(
      RENEW,
      deployment.keys.length,
      ...deployment.keys,
      node,
      ms,
      flag,
      deployment.mark,
      canaryAgeMs ?? '',
      machine,
    );
    const [monitors, known, strangers, nodes, ageMs, lost] = answer as [
      number,
      number,
      string[],
      string[],
      number,
      string[],
    ];
    return { nodes, monitors, wasKnown: known === 1, strangers, canaryAgeMs: ageMs < 0 ? undefined : ageMs, lost };
  };
}
