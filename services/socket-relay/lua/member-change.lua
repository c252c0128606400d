-- Stores a change of members in the stream that all relays follow, or only says where the stream stands.
--
-- The stream vouches for itself. Each entry has
--   j  the change as JSON, which comes first, for relays of an earlier version
--   b  birth: the second in which this stream began. A stream that is lost and begins again has another one
--   h  horizon: since when, in seconds, the stream has every change; later than the birth once there was too much
--   c  its number: one more than the entry before it
--   w  the bytes of all entries so far
-- What an earlier version wrote has j only; then the birth is what that version noted in KEYS[2].
--
-- Input
--   KEYS[1]  the stream
--   KEYS[2]  where relays of an earlier version look for the birth
--   ARGV[1]  the change as JSON, or '' to look only: then nothing is written, except in a stream that has no entry yet
--   ARGV[2]  how long changes are kept, in milliseconds
--   ARGV[3]  most bytes
--   ARGV[4]  most entries
--   ARGV[5]  a birth that is to be replaced, or ''
-- Output: the newest id, birth, horizon, number.

-- What an entry costs beside its text, in bytes.
local ENTRY_OVERHEAD_BYTES = 100
-- Most entries that one call drops: about 5 ms of Redis. The following calls drop the rest.
local MAX_DROPPED_PER_CALL = 1000
-- A change about nobody, in words that relays of every version understand.
local MARKER = '{"kind":"remove-members","groupId":"-","userIds":[]}'

local key, birthKey, change = KEYS[1], KEYS[2], ARGV[1]
local maxBytes, maxEntries = tonumber(ARGV[3]), tonumber(ARGV[4])
local function text(number) return string.format('%.0f', number) end
local function fieldsOf(entry)
  local fields = {}
  for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
  return fields
end
local function cost(json) return #json + ENTRY_OVERHEAD_BYTES end

local time = redis.call('TIME')
local now = tonumber(time[1])
local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
local known = newest and fieldsOf(newest) or {}
local b, h, c, w = tonumber(known.b), tonumber(known.h), tonumber(known.c), tonumber(known.w)
local noted = b
if not b then
  noted = tonumber(redis.call('GET', birthKey))
  b = newest and noted or now
  h, c, w = b, 0, 0
end
if text(b) == ARGV[5] then
  b = math.max(now, b + 1)
  h = b
  change = MARKER
elseif change == '' then
  if newest then return { newest[1], b, h, c } end
  change = MARKER
end

-- A write that frees memory comes first: after it Redis takes the others, although it may be out of memory.
redis.call('XTRIM', key, 'MINID', '~', text(now * 1000 - tonumber(ARGV[2])))
c = c + 1
w = w + cost(change)
local length, dropped, start, enough = redis.call('XLEN', key), 0, '-', false
while not enough and dropped < MAX_DROPPED_PER_CALL do
  local page = redis.call('XRANGE', key, start, '+', 'COUNT', dropped == 0 and 1 or 10)
  enough = #page == 0
  for _, entry in ipairs(page) do
    local fields = fieldsOf(entry)
    local held = w - (tonumber(fields.w) or 0) + (fields.w and cost(fields.j) or 0)
    enough = held <= maxBytes and length - dropped < maxEntries
    if enough then break end
    dropped = dropped + 1
    h = math.max(h, math.floor(tonumber(string.match(entry[1], '^%d+')) / 1000) + 1)
    start = '(' .. entry[1]
  end
end
if dropped > 0 then redis.call('XTRIM', key, 'MAXLEN', length - dropped) end
if noted ~= b then redis.call('SET', birthKey, text(b)) end
local id = redis.call('XADD', key, '*', 'j', change, 'b', text(b), 'h', text(h), 'c', text(c), 'w', text(w))
return { id, b, h, c }
