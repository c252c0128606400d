import type { Result } from 'ioredis';
import type { RedisClient } from '../redis/clients.ts';
import { loadScript } from '../redis/lua.ts';
import type { RedisNames } from '../redis/names.ts';
import { RELAYS } from '../wire-format.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    groupcastChange(...args: (string | number)[]): Result<(string | number)[], Context>;
  }
}

const CHANGES = `${RELAYS}:changes`;
/** The key where relays of an earlier version look for the birth. */
const BIRTH = `${RELAYS}:changes-since`;

/** Bytes per user that may be remembered: an id of 36 characters, its quotes and its comma, twice. */
const BYTES_PER_USER = 80;
/** Where the stream stands: its newest entry. */
export interface StreamState {
  id: string;
  /** The second in which the stream began. A later one says that the stream was lost in between. */
  birth: number;
  /** The second since which the stream has every change. */
  horizon: number;
  /** The number of the newest entry. */
  count: number;
}

/** An entry with the fields by which the stream vouches for itself. An entry of an earlier version has none of them. */
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
  /** Returns where the stream stands, and begins the stream if there is none. */
  look(): Promise<StreamState>;
  /**
   * Replaces a birth because entries were lost, so that nobody relies on what the stream had before; does nothing if another relay has done
   * so already.
   */
  renounce(birth: number): Promise<StreamState>;
  /** Returns the entries after `id`, the oldest first, at most `limit`. */
  read(id: string, limit: number): Promise<StreamEntry[]>;
}

export function createRedisChangeStore(
  { commands: redis, names }: { commands: RedisClient; names: RedisNames },
  options: { memoryMs: number; maxEntries: number },
): RedisChangeStore {
  redis.defineCommand('groupcastChange', { numberOfKeys: 2, lua: loadScript('member-change') });
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
