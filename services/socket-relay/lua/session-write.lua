-- Writes the copy of a session, for the process that has the session. A process that has lost it to another one writes nothing.
--
-- Input
--   KEYS[1]  the copy: a hash with `holder`, the number `n` of its last write, `page`, `comeback`, and a field for each group. A session that has
--            ended has only the first two
--   ARGV[1]  the process
--   ARGV[2]  `claim`: the session is its own from now on, and the fields are all there are; `whole`: the fields are all there are; `change`: the
--            fields have changed since the write before
--   ARGV[3]  the process from which it may claim the session, or ''
--   ARGV[4]  the number of this write
--   ARGV[5]  for how long the copy is kept, in seconds
--   ARGV[6]  how many fields are set
--   ARGV[7]  and so on: names and values of the fields that are set, then names of those that are removed
-- Output: 1 if it was written, 0 if another process has the session, -1 if the write before is not there.

local kept = redis.call('HMGET', KEYS[1], 'holder', 'n')
local isOwn = not kept[1] or kept[1] == ARGV[1]
if not isOwn and not (ARGV[2] == 'claim' and kept[1] == ARGV[3]) then return 0 end
if ARGV[2] ~= 'change' then redis.call('DEL', KEYS[1])
elseif tonumber(kept[2] or '') ~= ARGV[4] - 1 then return -1 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'n', ARGV[4])
local last = 6 + 2 * tonumber(ARGV[6])
for n = 7, last, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[n]) end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
