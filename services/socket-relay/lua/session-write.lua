-- Writes the copy of a session, for the process that has the session. A process that has lost it to another one writes nothing.
--
-- Input
--   KEYS[1]  the copy: a hash with `holder`, `page` and a field for each group
--   ARGV[1]  the process
--   ARGV[2]  `claim`: the session is its own from now on, and the fields are all there are; `whole`: the fields are all there are; `change`: the
--            fields have changed
--   ARGV[3]  for how long the copy is kept, in seconds; 0 removes it
--   ARGV[4]  how many fields are set
--   ARGV[5]  and so on: names and values of the fields that are set, then names of those that are removed
-- Output: 1 if it was written, 0 if another process has the session, -1 if there is no copy to change.

local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] and ARGV[2] ~= 'claim' then return 0 end
if ARGV[2] == 'change' then
  if not holder then return -1 end
else
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'holder', ARGV[1])
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
  return 1
end
local last = 4 + 2 * tonumber(ARGV[4])
for n = 5, last, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[n]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
