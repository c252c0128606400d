import { createHmac } from 'node:crypto';
import { ConfigurationError, type RelaySecrets } from '@groupcast/service-kit';
import { RELAYS } from './channel-names.ts';
import type { RedisClient } from './redis-clients.ts';
import type { RedisNames } from './redis-names.ts';

/**
 * Which deployment a relay belongs to, by the secret of its service tokens: relays that share a Redis and a prefix hand each other's
 * members what they say, so they must be one deployment. Beside its lease each relay keeps fingerprints of its secrets there.
 */
export interface RedisDeployment {
  /** Keys of the leases: nodes, those with monitors, deployments of nodes. */
  readonly keys: readonly [string, string, string];
  /** What this relay keeps beside its lease: its node and its fingerprints. */
  readonly mark: string;
  /**
   * Puts this relay beside the leases for `ms`, unless nodes of another deployment are there: then nothing is written, and it throws
   * `ConfigurationError`. A relay of an earlier version keeps no fingerprint, and is taken for one of this deployment.
   */
  enter(ms: number): Promise<void>;
  /** Nodes of another deployment that are there now. */
  strangers(): Promise<string[]>;
}

const FINGERPRINT_CHARACTERS = 16;

/** Of the secret and of the one before it: a relay that knows both belongs to those that know either. */
function fingerprintsOf({ secret, previousSecret }: RelaySecrets): string[] {
  return [secret, previousSecret]
    .filter((each) => each !== undefined)
    .map((each) =>
      createHmac('sha256', each).update('groupcast deployment').digest('hex').slice(0, FINGERPRINT_CHARACTERS),
    );
}

// A mark is "node fingerprint,fingerprint". ARGV: this relay's mark, ms or 0 to write nothing. Returns the nodes that share no fingerprint
// with it.
const ENTER = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local function read(mark) return string.match(mark, '^(%S+) (%S+)$') end
local own = {}
local _, fingerprints = read(ARGV[1])
for fingerprint in string.gmatch(fingerprints, '[^,]+') do own[fingerprint] = true end
local strangers = {}
for _, mark in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local node, theirs = read(mark)
  local same = false
  for fingerprint in string.gmatch(theirs or '', '[^,]+') do same = same or own[fingerprint] end
  if node and not same then strangers[#strangers + 1] = node end
end
local ms = tonumber(ARGV[2])
if ms > 0 and #strangers == 0 then redis.call('ZADD', KEYS[1], now + ms, ARGV[1]) end
return strangers
`;

export function createRedisDeployment(deps: {
  redis: RedisClient;
  names: RedisNames;
  node: string;
  secrets: RelaySecrets;
}): RedisDeployment {
  const { redis, names, node, secrets } = deps;
  const keys = ['leases', 'monitors', 'deployments'].map((name) => names.key(`${RELAYS}:${name}`));
  const mark = `${node} ${fingerprintsOf(secrets).join(',')}`;
  const look = async (ms: number): Promise<string[]> =>
    (await redis.eval(ENTER, 1, keys[2] ?? '', mark, ms)) as string[];

  return {
    keys: keys as [string, string, string],
    mark,
    async enter(ms) {
      const strangers = await look(ms);
      if (strangers.length === 0) return;
      throw new ConfigurationError([
        `REDIS_URL leads to a Redis in which relays of another deployment use REDIS_PREFIX "${names.prefix}" in database ${names.database}` +
          ` (${strangers.join(', ')}: their RELAY_SERVICE_SECRET is another one). Give this deployment a REDIS_PREFIX of its own or, where it` +
          ' is theirs and the secret is being changed, set RELAY_SERVICE_SECRET_PREVIOUS',
      ]);
    },
    strangers: async () => look(0),
  };
}
