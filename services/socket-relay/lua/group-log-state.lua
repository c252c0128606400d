-- Reads where the log of a group stands. Comes first in every script of the group log.
--
-- What happens in Redis happens in one step: a group's keys and its channel share the slot of `{group}`. Redis does nothing else while a
-- script runs, so none may look at the whole of a log.
--
-- KEYS[1]  state  hash  e epoch, a authority (p publisher, r relay), h head, f floor, b bytes, n news begins after it,
--                       x in no index up to it, w "epoch head" as they were when n and x were written, k whether there is an `about`.
--                       It outlives the log.
-- KEYS[2]  log    hash  seq -> "id \n exceptUserId \n event as JSON", for floor + 1 to head and nothing else
-- KEYS[3]  ids    hash  id -> seq, of the same events
-- KEYS[4]  about  zset  equal scores: "messageId \n seq" of the message's edits and of other events that have its id,
--                       "messageId \n d seq" of its deletion
--
-- The log is a hash and no stream: a deleted event keeps its position and loses its words, and entries of a stream cannot be changed.
--
-- Redis may evict any of these keys by itself. A log of which a part is missing counts as one whose events have outlived their time:
-- without `ids` it would take an event twice, and without `about` a deletion would leave words.
--
-- Relays of an earlier version write neither `about` nor n, x and w. What they wrote last makes w differ: then n is unknown, and x is the
-- head.
--
-- Output: e, a, h, f, b, n, x, k and isIncomplete as local variables.

local stateKey, logKey, idsKey, aboutKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- Lua's own text of a number has 14 digits.
local function text(number) return string.format('%.0f', number) end

local st = redis.call('HMGET', stateKey, 'e', 'a', 'h', 'f', 'b', 'n', 'x', 'w', 'k')
local e, a, h, f, b = st[1], st[2], tonumber(st[3]), tonumber(st[4]), tonumber(st[5])
local n, x = nil, h
if e and st[8] == e .. ' ' .. text(h) then n, x = tonumber(st[6]), tonumber(st[7]) end
local k = st[9] == '1'
-- The events have outlived their time, or a part of them was evicted: what is left is where the group stands.
local isIncomplete = e and h > f and
  (redis.call('EXISTS', logKey, idsKey) < 2 or (k and redis.call('EXISTS', aboutKey) == 0))
if isIncomplete then f = h; b = 0 end
