-- Writes the last deliveries of a node. Where Redis has lost the last writes, or all of them, the hash begins anew.
--
-- Input
--   KEYS[1]  a hash with `from`, `upTo`, `key` and a field for each group
--   ARGV[1]  up to where the node has written, as far as it knows
--   ARGV[2]  anything if the hash is to begin anew, or ''
--   ARGV[3]  from where it is complete if it begins anew
--   ARGV[4]  up to where the node has written after this
--   ARGV[5]  the key of its offsets
--   ARGV[6]  how long the hash is kept, in seconds
--   ARGV[7]  and so on: names and values of fields

if ARGV[2] ~= '' or redis.call('HGET', KEYS[1], 'upTo') ~= ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'from', ARGV[3], 'key', ARGV[5])
end
for n = 7, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('HSET', KEYS[1], 'upTo', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[6])
