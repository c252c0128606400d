// What happens in Redis happens in one step: a group's keys and its channel share the slot of `{group}`.
//
//   state  hash  e epoch · a authority (p publisher, r relay) · h head · f floor · b bytes · n news begins after it
//                x in no index up to it · w "epoch head" as they were when n and x were written · k whether there is an `about`;
//                outlives the log
//   log    hash  seq → "id \n exceptUserId \n event as JSON", for floor + 1 … head and nothing else
//   ids    hash  id → seq, of the same events
//   about  zset  equal scores: "messageId \n seq" of its edits and of what else has its id, "messageId \n d seq" of its deletion
//
// A hash and no stream: an event that was deleted leaves its place and not its words, and the entries of a stream cannot be changed.
// Redis does nothing else while a script runs: none may look at the whole of a log.
//
// Redis may evict any of them by itself. A log of which a part is missing is taken for one whose events have outlived their time: without ids it
// would take an event twice, and without about a deletion would leave words.
//
// Relays of an earlier version write neither `about` nor n, x and w. What they wrote last makes w differ: then n is unknown, and x the head.

/** Entries cost more than their text. */
const ENTRY_OVERHEAD_BYTES = 100;
/** About 5 ms of Redis. After a change of `HISTORY_SIZE` the following appends drop the rest. */
const MAX_DROPPED_PER_CALL = 1_000;

const STATE = `
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
`;

const CHANGE = `${STATE}
local function generationOf(epoch) return tonumber(string.match(epoch, '^(%d+)%-')) end
local function split(entry) return string.match(entry, '^([^\\n]*)\\n([^\\n]*)\\n(.*)$') end
local function nameOf(json) return string.match(json, '^{"event":"([^"]*)"') end
-- The rest of a log that is not complete would be seen by nobody, and never leave.
if isIncomplete then
  k = false
  if redis.call('EXISTS', logKey, idsKey, aboutKey) > 0 then redis.call('UNLINK', logKey, idsKey, aboutKey) end
end
local function note(member)
  k = true
  redis.call('ZADD', aboutKey, 0, member)
end
local function cost(entry) return #entry + ${ENTRY_OVERHEAD_BYTES} end

local function decode(id, seq, json)
  local readable, event = pcall(cjson.decode, json)
  if readable then return event end
  -- A text that is no text, such as half a surrogate, stays where it is: enough of the event is known without it.
  return {
    event = nameOf(json), id = id, groupId = string.match(json, '"groupId":"([^"]*)"'), epoch = e, seq = seq,
    messageId = string.match(json, '"messageId":"([^"]*)"'),
  }
end

-- The scores are equal: members are in the order of their bytes, and a digit comes before a colon.
local function editsOf(messageId)
  return redis.call('ZRANGEBYLEX', aboutKey, '[' .. messageId .. '\\n0', '(' .. messageId .. '\\n:')
end
local function isDeleted(messageId)
  return #redis.call('ZRANGEBYLEX', aboutKey, '[' .. messageId .. '\\nd', '(' .. messageId .. '\\ne', 'LIMIT', 0, 1) > 0
end

local function dropOldest()
  f = f + 1
  local entry = redis.call('HGET', logKey, f)
  if not entry then return end
  local id, _, json = split(entry)
  redis.call('HDEL', logKey, f)
  if redis.call('HGET', idsKey, id) == text(f) then redis.call('HDEL', idsKey, id)
  else redis.call('ZREM', aboutKey, id .. '\\n' .. text(f)) end
  local name = nameOf(json)
  if name == 'message-updated' or name == 'message-deleted' then
    local messageId = decode(id, f, json).messageId
    if type(messageId) == 'string' then
      redis.call('ZREM', aboutKey, messageId .. (name == 'message-deleted' and '\\nd' or '\\n') .. text(f))
    end
  end
  b = b - cost(entry)
end

local function save(ttl, stateTtl)
  local written = e .. ' ' .. text(h)
  if k then k = redis.call('EXISTS', aboutKey) == 1 end
  redis.call('HSET', stateKey, 'e', e, 'a', a, 'h', h, 'f', f, 'b', b, 'n', n or '', 'x', x, 'w', written, 'k', k and '1' or '')
  redis.call('EXPIRE', stateKey, stateTtl)
  redis.call('PEXPIRE', logKey, ttl)
  redis.call('PEXPIRE', idsKey, ttl)
  redis.call('PEXPIRE', aboutKey, ttl)
end

-- Takes the words of an event that holds those of one of the messages.
local function blank(seq, messageIds)
  local entry = redis.call('HGET', logKey, seq)
  if not entry then return end
  local id, except, json = split(entry)
  local name = nameOf(json)
  if name ~= 'message-updated' and not (name == 'new-message' and messageIds[id]) then return end
  local event = decode(id, seq, json)
  if name == 'message-updated' then
    if not messageIds[event.messageId] then return end
    redis.call('ZREM', aboutKey, event.messageId .. '\\n' .. text(seq))
  end
  local kept = { content = '', deleted = true }
  for _, field in ipairs({ 'event', 'id', 'groupId', 'epoch', 'messageId', 'senderId', 'createdAt', 'clientMessageId', 'updatedAt' }) do
    if event[field] ~= cjson.null then kept[field] = event[field] end
  end
  local erased = id .. '\\n' .. except .. '\\n{"seq":' .. text(seq) .. ',' .. string.sub(cjson.encode(kept), 2)
  redis.call('HSET', logKey, seq, erased)
  b = b - #entry + #erased
end

-- messageIds: a set. Looks at what is about these messages, and at what is in no index.
local function erase(messageIds)
  for messageId in pairs(messageIds) do
    local seq = redis.call('HGET', idsKey, messageId)
    if seq then blank(tonumber(seq), messageIds) end
    for _, member in ipairs(editsOf(messageId)) do blank(tonumber(string.match(member, '%d+$')), messageIds) end
  end
  for seq = f + 1, x do blank(seq, messageIds) end
end
`;

/**
 * ARGV: id, exceptUserId, seq or '', epoch (of the position, else a candidate), JSON before and after the position, channel,
 * what precedes the event on the channel, size, bytes, ttl ms, state ttl s, what precedes the seq in `about` or '', the position that
 * the caller has seen (epoch, seq). Returns outcome, epoch, head, seq, nodes that listen.
 */
export const APPEND = `${CHANGE}
local id, except, seq, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local before, after, channel, header, about = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[13]

local function publish(json) return redis.call('SPUBLISH', channel, header .. except .. '\\n' .. json) end
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
local entry = id .. '\\n' .. except .. '\\n' .. json
redis.call('HSET', logKey, h, entry)
if redis.call('HSETNX', idsKey, id, h) == 0 then
  note(id .. '\\n' .. redis.call('HGET', idsKey, id))
  redis.call('HSET', idsKey, id, h)
end
b = b + cost(entry)
if about ~= '' then note(about .. text(h)) end
local deleted = string.match(about, '^(.*)\\nd$')
if deleted then erase({ [deleted] = true }) end
local enough = f + ${MAX_DROPPED_PER_CALL}
while f < math.min(h, enough) and (h - f > tonumber(ARGV[9]) or b > tonumber(ARGV[10])) do dropOldest() end
save(ARGV[11], ARGV[12])
return { 'appended', e, h, h, publish(json) }
`;

/**
 * ARGV: afterSeq, limit. Returns epoch, head, floor, after what news begins, and entries from the one after `afterSeq` or the floor;
 * nothing for an unknown group.
 */
export const READ = `${STATE}
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
`;

/**
 * ARGV: epoch, seq of the last event, size, bytes, ttl ms, state ttl s, then entries as `seq, entry, what precedes the seq in about
 * or ''`, the newest first.
 */
export const BACKFILL = `${CHANGE}
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
    if redis.call('HSETNX', idsKey, id, seq) == 0 then note(id .. '\\n' .. text(seq)) end
    if about ~= '' then note(about .. text(seq)) end
    touched[string.match(about, '^(.*)\\nd?$') or id] = true
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
  local id, _, json = split(redis.call('HGET', logKey, seq) or '\\n\\n')
  if nameOf(json) == 'message-deleted' then
    local messageId = decode(id, seq, json).messageId
    if messageId and touched[messageId] then deleted[messageId] = true end
  end
end
if next(deleted) then erase(deleted) end
save(ARGV[5], ARGV[6])
`;
