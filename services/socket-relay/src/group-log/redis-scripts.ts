// What happens in Redis happens in one step: a group's keys and its channel share the slot of `{group}`.
//
//   state  hash  e epoch · a authority (p publisher, r relay) · h head · f floor · b bytes · n news begins after it
//                w "epoch head" as they were when n was written; outlives the log
//   log    hash  seq → "id \n exceptUserId \n event as JSON", for floor + 1 … head and nothing else
//   ids    hash  id → seq, of the same events
//
// A hash and no stream: an event that was deleted leaves its place and not its words, and the entries of a stream cannot be changed.
//
// Relays of an earlier version write neither n nor w. What they wrote last makes w differ: then n is unknown.

/** Entries cost more than their text. */
const ENTRY_OVERHEAD_BYTES = 100;

const COMMON = `
local stateKey, logKey, idsKey = KEYS[1], KEYS[2], KEYS[3]
-- Lua's own text of a number has 14 digits.
local function text(number) return string.format('%.0f', number) end

local st = redis.call('HMGET', stateKey, 'e', 'a', 'h', 'f', 'b', 'n', 'w')
local e, a, h, f, b = st[1], st[2], tonumber(st[3]), tonumber(st[4]), tonumber(st[5])
local n = nil
if e and st[7] == e .. ' ' .. text(h) then n = tonumber(st[6]) end
-- The events have outlived their time: what is left is where the group stands.
if e and h > f and redis.call('EXISTS', logKey) == 0 then f = h; b = 0 end

local function generationOf(epoch) return tonumber(string.match(epoch, '^(%d+)%-')) end
local function split(entry) return string.match(entry, '^([^\\n]*)\\n([^\\n]*)\\n(.*)$') end
local function cost(entry) return #entry + ${ENTRY_OVERHEAD_BYTES} end

local function dropOldest()
  f = f + 1
  local entry = redis.call('HGET', logKey, f)
  if not entry then return end
  local id = split(entry)
  redis.call('HDEL', logKey, f)
  if redis.call('HGET', idsKey, id) == text(f) then redis.call('HDEL', idsKey, id) end
  b = b - cost(entry)
end

local function save(ttl, stateTtl)
  redis.call('HSET', stateKey, 'e', e, 'a', a, 'h', h, 'f', f, 'b', b, 'n', n or '', 'w', e .. ' ' .. text(h))
  redis.call('EXPIRE', stateKey, stateTtl)
  redis.call('PEXPIRE', logKey, ttl)
  redis.call('PEXPIRE', idsKey, ttl)
end

local function erase(messageId)
  for seq = f + 1, h do
    local entry = redis.call('HGET', logKey, seq)
    if entry and string.find(entry, messageId, 1, true) then
      local id, except, json = split(entry)
      -- A text that is no text, such as half a surrogate, stays where it is: enough of the event is known without it.
      local readable, event = pcall(cjson.decode, json)
      if not readable then
        event = {
          event = string.match(json, '^{"event":"([^"]*)"'), id = id, groupId = string.match(json, '"groupId":"([^"]*)"'), epoch = e, seq = seq,
          messageId = string.match(json, '"messageId":"([^"]*)"'),
        }
      end
      local isMessage = event.event == 'new-message' and id == messageId
      if isMessage or (event.event == 'message-updated' and event.messageId == messageId) then
        local kept = { content = '', deleted = true }
        for _, field in ipairs({ 'event', 'id', 'groupId', 'epoch', 'seq', 'messageId', 'senderId', 'createdAt', 'clientMessageId', 'updatedAt' }) do
          if event[field] ~= cjson.null then kept[field] = event[field] end
        end
        kept.seq = nil
        local erased = id .. '\\n' .. except .. '\\n{"seq":' .. text(seq) .. ',' .. string.sub(cjson.encode(kept), 2)
        redis.call('HSET', logKey, seq, erased)
        b = b - #entry + #erased
      end
    end
  end
end
`;

/**
 * ARGV: id, exceptUserId, seq or '', epoch (of the position, else a candidate), JSON before and after the position, channel,
 * what precedes the event on the channel, size, bytes, ttl ms, state ttl s, messageId that is deleted or '', the position that the
 * caller has seen (epoch, seq). Returns outcome, epoch, head, seq, nodes that listen.
 */
export const APPEND = `${COMMON}
local id, except, seq, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local before, after, channel, header = ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local function publish(json) return redis.call('SPUBLISH', channel, header .. except .. '\\n' .. json) end
local function open(newEpoch, authority, floor)
  redis.call('DEL', logKey, idsKey)
  e, a, h, f, b, n = newEpoch, authority, floor, floor, 0, floor
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
redis.call('HSET', idsKey, id, h)
b = b + cost(entry)
if ARGV[13] ~= '' then erase(ARGV[13]) end
while f < h and (h - f > tonumber(ARGV[9]) or b > tonumber(ARGV[10])) do dropOldest() end
save(ARGV[11], ARGV[12])
return { 'appended', e, h, h, publish(json) }
`;

/**
 * ARGV: afterSeq, limit. Returns epoch, head, floor, after what news begins, and entries from the one after `afterSeq` or the floor;
 * nothing for an unknown group.
 */
export const READ = `${COMMON}
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

/** ARGV: epoch, seq of the last event, size, bytes, ttl ms, state ttl s, then entries as `seq, entry`, the newest first. */
export const BACKFILL = `${COMMON}
local epoch, position = ARGV[1], tonumber(ARGV[2])
if e and (e ~= epoch or a ~= 'p') then return end
if not e then e, a, h, f, b, n = epoch, 'p', position, position, 0, position end
for index = 7, #ARGV, 2 do
  local seq, entry = tonumber(ARGV[index]), ARGV[index + 1]
  if seq <= f then
    if seq ~= f or h - f >= tonumber(ARGV[3]) or b + cost(entry) > tonumber(ARGV[4]) then break end
    redis.call('HSET', logKey, seq, entry)
    redis.call('HSETNX', idsKey, split(entry), seq)
    b = b + cost(entry)
    f = f - 1
  end
end
-- A fill that was read before a message was deleted must not bring its words back.
for seq = f + 1, h do
  local entry = redis.call('HGET', logKey, seq)
  local _, _, json = split(entry or '\\n\\n')
  if string.find(json, '{"event":"message-deleted"', 1, true) == 1 then
    local messageId = string.match(json, '"messageId":"([^"]*)"')
    if messageId then erase(messageId) end
  end
end
save(ARGV[5], ARGV[6])
`;
