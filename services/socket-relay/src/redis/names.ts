import { DEFAULT_REDIS_PREFIX } from '@groupcast/service-kit';
import { groupChannel } from '../wire-format.ts';

/** The names of one deployment's keys and channels, in a Redis that others may use as well. */
export interface RedisNames {
  readonly prefix: string;
  readonly database: number;
  key: (name: string) => string;
  /** Channels are not part of a database, so the name of a channel says which database it belongs to. */
  channel: (name: string) => string;
  /** Prefix of the keys of a group. */
  groupKey: (groupId: string) => string;
}

/** Database 0 has no number in its channels: relays of an earlier version listen to these. */
export function createRedisNames(prefix: string = DEFAULT_REDIS_PREFIX, database = 0): RedisNames {
  const channels = database === 0 ? prefix : `${prefix}@${database}`;
  return {
    prefix,
    database,
    key: (name) => `${prefix}:${name}`,
    channel: (name) => `${channels}:${name}`,
    groupKey: (groupId) => `${prefix}:${groupChannel(groupId)}`,
  };
}
