-- What the scripts have in common that change the log of a group. Comes after group-log-state.lua.
--
-- Input: the local variables of group-log-state.lua.
-- Output: functions. `save` has to be the last call of a script that has changed anything.

-- What an entry costs beside its text, in bytes.
local ENTRY_OVERHEAD_BYTES = 100

local function generationOf(epoch) return tonumber(string.match(epoch, '^(%d+)%-')) end
local function split(entry) return string.match(entry, '^([^\n]*)\n([^\n]*)\n(.*)$') end
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
local function cost(entry) return #entry + ENTRY_OVERHEAD_BYTES end

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
  return redis.call('ZRANGEBYLEX', aboutKey, '[' .. messageId .. '\n0', '(' .. messageId .. '\n:')
end
local function isDeleted(messageId)
  return #redis.call('ZRANGEBYLEX', aboutKey, '[' .. messageId .. '\nd', '(' .. messageId .. '\ne', 'LIMIT', 0, 1) > 0
end

local function dropOldest()
  f = f + 1
  local entry = redis.call('HGET', logKey, f)
  if not entry then return end
  local id, _, json = split(entry)
  redis.call('HDEL', logKey, f)
  if redis.call('HGET', idsKey, id) == text(f) then redis.call('HDEL', idsKey, id)
  else redis.call('ZREM', aboutKey, id .. '\n' .. text(f)) end
  local name = nameOf(json)
  if name == 'message-updated' or name == 'message-deleted' then
    local messageId = decode(id, f, json).messageId
    if type(messageId) == 'string' then
      redis.call('ZREM', aboutKey, messageId .. (name == 'message-deleted' and '\nd' or '\n') .. text(f))
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
    redis.call('ZREM', aboutKey, event.messageId .. '\n' .. text(seq))
  end
  local kept = { content = '', deleted = true }
  for _, field in ipairs({ 'event', 'id', 'groupId', 'epoch', 'messageId', 'senderId', 'createdAt', 'clientMessageId', 'updatedAt' }) do
    if event[field] ~= cjson.null then kept[field] = event[field] end
  end
  local erased = id .. '\n' .. except .. '\n{"seq":' .. text(seq) .. ',' .. string.sub(cjson.encode(kept), 2)
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
