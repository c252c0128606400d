-- Puts older events below what the log of a group holds, or begins a log with them. Comes after group-log-change.lua.
--
-- Input
--   ARGV[1]  epoch of the events
--   ARGV[2]  seq of the last of them
--   ARGV[3]  most events of the log
--   ARGV[4]  most bytes of the log
--   ARGV[5]  how long the events are kept, in milliseconds
--   ARGV[6]  how long the state is kept, in seconds
--   ARGV[7]  and so on, by three: seq, entry, and what precedes the seq in `about` or ''; the newest first
-- Output: nothing.

local epoch, position = ARGV[1], tonumber(ARGV[2])
if e and (e ~= epoch or a ~= 'p') then return end
if not e then e, a, h, f, b, n, x = epoch, 'p', position, position, 0, position, position end
local isIndexed = x <= f
local touched = {}
for index = 7, #ARGV, 3 do
  local seq, entry, about = tonumber(ARGV[index]), ARGV[index + 1], ARGV[index + 2]
  if seq <= f then
    if seq ~= f or h - f >= tonumber(ARGV[3]) or b + cost(entry) > tonumber(ARGV[4]) then break end
    local id = split(entry)
    redis.call('HSET', logKey, seq, entry)
    if redis.call('HSETNX', idsKey, id, seq) == 0 then note(id .. '\n' .. text(seq)) end
    if about ~= '' then note(about .. text(seq)) end
    touched[string.match(about, '^(.*)\nd?$') or id] = true
    b = b + cost(entry)
    f = f - 1
  end
end
if isIndexed then x = f end
-- A fill that was read before a message was deleted must not bring its words back.
local deleted = {}
for messageId in pairs(touched) do
  if isDeleted(messageId) then deleted[messageId] = true end
end
for seq = f + 1, x do
  local id, _, json = split(redis.call('HGET', logKey, seq) or '\n\n')
  if nameOf(json) == 'message-deleted' then
    local messageId = decode(id, seq, json).messageId
    if messageId and touched[messageId] then deleted[messageId] = true end
  end
end
if next(deleted) then erase(deleted) end
save(ARGV[5], ARGV[6])
