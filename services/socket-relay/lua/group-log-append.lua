-- Appends one event to the log of a group, and hands it to every relay that listens. Comes after group-log-change.lua.
--
-- Input
--   ARGV[1]   id of the event
--   ARGV[2]   user whom the event is not for, or ''
--   ARGV[3]   seq, if the publisher gives positions, or ''
--   ARGV[4]   epoch of that position; without one, the epoch with which a new log begins
--   ARGV[5]   JSON of the event before its position
--   ARGV[6]   JSON of the event after its position
--   ARGV[7]   channel of the group
--   ARGV[8]   what precedes the excepted user on the channel (wire-format.ts)
--   ARGV[9]   most events of the log
--   ARGV[10]  most bytes of the log
--   ARGV[11]  how long the events are kept, in milliseconds
--   ARGV[12]  how long the state is kept, in seconds
--   ARGV[13]  what precedes the seq in `about`, or ''
--   ARGV[14]  epoch of the highest position that the caller has seen, or ''
--   ARGV[15]  seq of that position
-- Output: outcome, epoch, head; then
--   'appended'      seq, relays that listen
--   'duplicate'     seq of the event that was there
--   'unpositioned'  0, relays that listen
--   'conflict'      nothing
--   'gap'           nothing

-- Most events that one call drops: about 5 ms of Redis. After a change of `HISTORY_SIZE` the following calls drop the rest.
local MAX_DROPPED_PER_CALL = 1000

local id, except, seq, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local before, after, channel, header, about = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[13]

local function publish(json) return redis.call('SPUBLISH', channel, header .. except .. '\n' .. json) end
local function open(newEpoch, authority, floor)
  -- Only where there is something: a write that frees memory lets those after it pass, although Redis has none left.
  if redis.call('EXISTS', logKey, idsKey, aboutKey) > 0 then redis.call('UNLINK', logKey, idsKey, aboutKey) end
  e, a, h, f, b, n, x, k = newEpoch, authority, floor, floor, 0, floor, floor, false
end

if seq then
  if not e or generationOf(epoch) > generationOf(e) then open(epoch, 'p', seq - 1)
  elseif e ~= epoch or a ~= 'p' then return { 'conflict', e, h }
  elseif seq > h + 1 then return { 'gap', e, h }
  elseif seq <= h then
    local held = seq > f and redis.call('HGET', logKey, seq)
    if held and split(held) ~= id then return { 'conflict', e, h } end
    return { 'duplicate', e, h, seq }
  end
else
  if e then
    local known = redis.call('HGET', idsKey, id)
    if known then return { 'duplicate', e, h, tonumber(known) } end
    if a == 'p' then return { 'unpositioned', e, h, 0, publish(before .. '"epoch":null,"seq":null' .. after) } end
  end
  -- A log that knows less than the caller has seen was restored from before: its numbers were handed out already.
  local seenEpoch, seenSeq = ARGV[14], tonumber(ARGV[15])
  local held, seen = e and generationOf(e) or 0, seenEpoch ~= '' and generationOf(seenEpoch) or 0
  if not e or seen > held or (seenEpoch == e and seenSeq > h) then
    local newest = math.max(held, seen)
    if generationOf(epoch) <= newest then epoch = text(newest + 1) .. string.match(epoch, '%-.*$') end
    open(epoch, 'r', 0)
  end
end

h = h + 1
local json = before .. '"epoch":"' .. e .. '","seq":' .. text(h) .. after
local entry = id .. '\n' .. except .. '\n' .. json
redis.call('HSET', logKey, h, entry)
if redis.call('HSETNX', idsKey, id, h) == 0 then
  note(id .. '\n' .. redis.call('HGET', idsKey, id))
  redis.call('HSET', idsKey, id, h)
end
b = b + cost(entry)
if about ~= '' then note(about .. text(h)) end
local deleted = string.match(about, '^(.*)\nd$')
if deleted then erase({ [deleted] = true }) end
local enough = f + MAX_DROPPED_PER_CALL
while f < math.min(h, enough) and (h - f > tonumber(ARGV[9]) or b > tonumber(ARGV[10])) do dropOldest() end
save(ARGV[11], ARGV[12])
return { 'appended', e, h, h, publish(json) }
