import type { Result } from 'ioredis';
import type { RedisClient } from '../redis/clients.ts';
import type { RedisNames } from '../redis/names.ts';
import { RELAYS } from '../wire-format.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    groupcastChange(...args: (string | number)[]): Result<(string | number)[], Context>;
  }
}

const CHANGES = `${RELAYS}:changes`;
/** Where relays of an earlier version look for the birth. */
const BIRTH = `${RELAYS}:changes-since`;

/** What an entry costs beside its text. */
const ENTRY_OVERHEAD_BYTES = 100;
/** Per user that may be remembered: an id of 36 characters, its quotes and its comma, twice. */
const BYTES_PER_USER = 80;
/** About 5 ms of Redis. The following calls drop the rest. */
const MAX_DROPPED_PER_CALL = 1_000;
/** Says nothing about anybody, in words that relays of every version understand. */
const MARKER = JSON.stringify({ kind: 'remove-members', groupId: '-', userIds: [] });

// The stream vouches for itself. Each entry has
//   j  the change as JSON, which comes first, for relays of an earlier version
//   b  birth: the second in which this stream began. One that is lost and begins again has another
//   h  horizon: since when, in seconds, the stream has every change; later than the birth once there was too much
//   c  its number: one more than the entry before it
//   w  the bytes of all entries so far
// What an earlier version wrote has j only; then the birth is what that version noted.
//
// ARGV: change or '', memory ms, most bytes, most entries, a birth that is to be replaced or ''.
// Returns the newest id, b, h, c. Without a change nothing is written, but for a stream that has no entry yet.
const CHANGE = `
local key, birthKey, change = KEYS[1], KEYS[2], ARGV[1]
local maxBytes, maxEntries = tonumber(ARGV[3]), tonumber(ARGV[4])
local function text(number) return string.format('%.0f', number) end
local function fieldsOf(entry)
  local fields = {}
  for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
  return fields
end
local function cost(json) return #json + ${ENTRY_OVERHEAD_BYTES} end

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
  change = '${MARKER}'
elseif change == '' then
  if newest then return { newest[1], b, h, c } end
  change = '${MARKER}'
end

-- A write that frees memory comes first: after it Redis takes the others, although it may be out of memory.
redis.call('XTRIM', key, 'MINID', '~', text(now * 1000 - tonumber(ARGV[2])))
c = c + 1
w = w + cost(change)
local length, dropped, start, enough = redis.call('XLEN', key), 0, '-', false
while not enough and dropped < ${MAX_DROPPED_PER_CALL} do
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
`;

/** Where the stream stands: its newest entry. */
export interface StreamState {
  id: string;
  /** The second in which the stream began; a later one says that it was lost in between. */
  birth: number;
  /** Since which second it has every change. */
  horizon: number;
  /** The number of the newest entry. */
  count: number;
}

/** An entry as far as the stream vouches for itself; nothing of it was written by an earlier version. */
export interface StreamEntry {
  id: string;
  json: string;
  birth: number | undefined;
  horizon: number | undefined;
  count: number | undefined;
}

export interface RedisChangeStore {
  /** The key of the stream. */
  readonly key: string;
  append(change: object): Promise<StreamState>;
  /** Begins the stream where there is none. */
  look(): Promise<StreamState>;
  /** Some of it was lost: nobody is to rely on what it had before, unless another relay has said so already. */
  renounce(birth: number): Promise<StreamState>;
  /** The entries after `id`, the oldest first, at most `limit`. */
  read(id: string, limit: number): Promise<StreamEntry[]>;
}

export function createRedisChangeStore(
  { commands: redis, names }: { commands: RedisClient; names: RedisNames },
  options: { memoryMs: number; maxEntries: number },
): RedisChangeStore {
  redis.defineCommand('groupcastChange', { numberOfKeys: 2, lua: CHANGE });
  const { memoryMs, maxEntries } = options;
  const [key, birthKey] = [names.key(CHANGES), names.key(BIRTH)];

  async function call(change: string, renounced: number | ''): Promise<StreamState> {
    const limits = [memoryMs, maxEntries * BYTES_PER_USER, maxEntries];
    const answer = await redis.groupcastChange(key, birthKey, change, ...limits, renounced);
    const [id, birth, horizon, count] = answer as [string, number, number, number];
    return { id, birth, horizon, count };
  }

  return {
    key,
    append: async (change) => call(JSON.stringify(change), ''),
    look: async () => call('', ''),
    renounce: async (birth) => call('', birth),
    async read(id, limit) {
      const entries = await redis.xrange(key, id === '0-0' ? '-' : `(${id}`, '+', 'COUNT', limit);
      return entries.map(([entryId, fields]) => toStreamEntry(entryId, fields));
    },
  };
}

export function toStreamEntry(id: string, fields: readonly string[]): StreamEntry {
  const read = (name: string): number | undefined => {
    const index = fields.indexOf(name, 2);
    return index < 0 ? undefined : Number(fields[index + 1]);
  };
  return { id, json: fields[1] ?? '', birth: read('b'), horizon: read('h'), count: read('c') };
}
