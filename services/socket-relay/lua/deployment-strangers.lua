-- Tells relays of one deployment from those of another. A mark is "node fingerprint,fingerprint".
--
-- Input: nothing.
-- Output: the function `strangersTo(mark, key)`, which answers the nodes in the sorted set `key` that share no fingerprint with the node of
-- `mark`.

local function read(mark) return string.match(mark, '^(%S+) (%S+)$') end
local function strangersTo(mark, key)
  local own = {}
  local _, fingerprints = read(mark)
  for fingerprint in string.gmatch(fingerprints, '[^,]+') do own[fingerprint] = true end
  local strangers = {}
  for _, other in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local node, theirs = read(other)
    local same = false
    for fingerprint in string.gmatch(theirs or '', '[^,]+') do same = same or own[fingerprint] end
    if node and not same then strangers[#strangers + 1] = node end
  end
  return strangers
end
