-- Puts a relay beside the leases, unless relays of another deployment are there. Comes after deployment-strangers.lua.
--
-- Input
--   KEYS[1]  marks of the nodes that have a lease
--   ARGV[1]  this relay's mark
--   ARGV[2]  for how long, in milliseconds
-- Output: the nodes of another deployment. Nothing is written if there are any.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local strangers = strangersTo(ARGV[1], KEYS[1])
if #strangers == 0 then redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1]) end
return strangers
