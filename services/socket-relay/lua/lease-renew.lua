-- Renews the lease of a node, or gives it back, by Redis's clock, the only one that all nodes share. Comes after
-- deployment-strangers.lua.
--
-- Input
--   KEYS[1]  nodes that have a lease
--   KEYS[2]  those of them that have a monitor
--   KEYS[3]  the deployments of those nodes, as marks
--   KEYS[4]  when the last canary of each node that came back was sent; a relay of an earlier version has none. A member is the node and its
--            machine, with a space between them
--   KEYS[5]  nodes whose leases ended without being given back, and when
--   ARGV[1]  the node
--   ARGV[2]  its lease, in milliseconds; 0 gives it back
--   ARGV[3]  anything if the node has a monitor, or ''
--   ARGV[4]  the mark of the node. It is written even if there are strangers, so that they see it too
--   ARGV[5]  how long ago the node's last canary that came back was sent, in milliseconds, or ''
--   ARGV[6]  the machine of the node
-- Output: how many nodes have a monitor, whether this node's lease was still known (1 or 0), the nodes of another deployment, the nodes that
-- have a lease, how long ago the newest canary of another machine was sent that came back (-1: there is none), and the nodes that went without
-- giving their lease back, the newest first.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES')
for n = 1, 3 do redis.call('ZREMRANGEBYSCORE', KEYS[n], '-inf', now) end
local lease = tonumber(ARGV[2])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if lease > 0 then redis.call('ZADD', KEYS[1], now + lease, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
if lease > 0 then redis.call('ZADD', KEYS[3], now + lease, ARGV[4]) else redis.call('ZREM', KEYS[3], ARGV[4]) end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], now + lease, ARGV[1]) else redis.call('ZREM', KEYS[2], ARGV[1]) end

-- One that was killed has another name when it is started again, so it is forgotten: after ten minutes, or when there are many.
for n = 1, #ended, 2 do redis.call('ZADD', KEYS[5], ended[n + 1], ended[n]) end
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - 600000)
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -17)

local strangers = lease > 0 and strangersTo(ARGV[4], KEYS[3]) or {}

-- The canary of a node that has gone says nothing of today. It is forgotten after ten minutes, whatever became of its node.
local canary = ARGV[1] .. ' ' .. ARGV[6]
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 600000)
if lease > 0 and ARGV[5] ~= '' then redis.call('ZADD', KEYS[4], now - tonumber(ARGV[5]), canary) else redis.call('ZREM', KEYS[4], canary) end
local newest = -1
local canaries = redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES')
for n = 1, #canaries, 2 do
  local node, machine = string.match(canaries[n], '^(%S+) (%S+)$')
  if machine ~= ARGV[6] and redis.call('ZSCORE', KEYS[1], node) then newest = math.max(0, now - tonumber(canaries[n + 1])) end
end
return { redis.call('ZCARD', KEYS[2]), known, strangers, redis.call('ZRANGE', KEYS[1], 0, -1), newest, redis.call('ZREVRANGE', KEYS[5], 0, -1) }
