-- Renews the lease of a node, or gives it back, by Redis's clock, the only one that all nodes share. Comes after
-- deployment-strangers.lua.
--
-- Input
--   KEYS[1]  nodes that have a lease
--   KEYS[2]  those of them that have a monitor
--   KEYS[3]  the deployments of those nodes, as marks
--   ARGV[1]  the node
--   ARGV[2]  its lease, in milliseconds; 0 gives it back
--   ARGV[3]  anything if the node has a monitor, or ''
--   ARGV[4]  the mark of the node. It is written even if there are strangers, so that they see it too
-- Output: how many nodes have a monitor, whether this node's lease was still known (1 or 0), the nodes of another deployment, the nodes that
-- have a lease.

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
