import type { RedisClient } from '../redis/clients.ts';
import type { RenewLease } from './node-leases.ts';
import { type RedisDeployment, STRANGERS_TO } from './redis-deployment.ts';

/**
 * By Redis's clock, the only one that all nodes share. KEYS: nodes, those with monitors, deployments of nodes. ARGV: node, lease in ms or
 * 0 to give it back, monitors or '', the node's deployment. Strangers are nodes of another deployment: this one's mark is written all the
 * same, so that they see it too.
 */
const RENEW = `${STRANGERS_TO}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(KEYS) do redis.call('ZREMRANGEBYSCORE', key, '-inf', now) end
local lease = tonumber(ARGV[2])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if lease > 0 then redis.call('ZADD', KEYS[1], now + lease, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
if lease > 0 then redis.call('ZADD', KEYS[3], now + lease, ARGV[4]) else redis.call('ZREM', KEYS[3], ARGV[4]) end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], now + lease, ARGV[1]) else redis.call('ZREM', KEYS[2], ARGV[1]) end
local strangers = lease > 0 and strangersTo(ARGV[4], KEYS[3]) or {}
return { redis.call('ZCARD', KEYS[2]), known, strangers, redis.call('ZRANGE', KEYS[1], 0, -1) }
`;

export function createRedisLeases(redis: RedisClient, deployment: RedisDeployment): RenewLease {
  return async (node, ms, hasMonitors) => {
    const flag = hasMonitors ? '1' : '';
    const answer = await redis.eval(RENEW, 3, ...deployment.keys, node, ms, flag, deployment.mark);
    const [monitors, known, strangers, nodes] = answer as [number, number, string[], string[]];
    return { nodes, monitors, wasKnown: known === 1, strangers };
  };
}
