-- Reads a part of the log of a group. Comes after group-log-state.lua.
--
-- Input
--   ARGV[1]  seq after which to begin
--   ARGV[2]  most entries
-- Output: epoch, head, floor, the position after which news begins, and the entries from the one after ARGV[1] or the floor; nothing for an
-- unknown group.

if not e then return {} end
local from = math.max(tonumber(ARGV[1]), f) + 1
local to = math.min(h, from + tonumber(ARGV[2]) - 1)
local answer = { e, h, f, n or f }
for start = from, to, 500 do
  local seqs = {}
  for seq = start, math.min(to, start + 499) do seqs[#seqs + 1] = seq end
  for _, entry in ipairs(redis.call('HMGET', logKey, unpack(seqs))) do answer[#answer + 1] = entry or '' end
end
return answer
