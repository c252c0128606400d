import type { RedisClient } from '../redis/clients.ts';
import { loadScript } from '../redis/lua.ts';
import type { RenewLease } from './node-leases.ts';
import type { RedisDeployment } from './redis-deployment.ts';

const RENEW = loadScript('deployment-strangers', 'lease-renew');

export function createRedisLeases(redis: RedisClient, deployment: RedisDeployment): RenewLease {
  return async (node, ms, hasMonitors) => {
    const flag = hasMonitors ? '1' : '';
    const answer = await redis.eval(RENEW, 3, ...deployment.keys, node, ms, flag, deployment.mark);
    const [monitors, known, strangers, nodes] = answer as [number, number, string[], string[]];
    return { nodes, monitors, wasKnown: known === 1, strangers };
  };
}
