import { fingerprintsOf } from '@groupcast/service-kit';
import { reasonOf } from './ask.ts';
import { failed, type Outcome, ok, skipped } from './hops.ts';
import type { Patient } from './patient.ts';
import { openRedis, type RedisAsker, RedisRefusal } from './redis-asker.ts';
import type { Probe, Walk } from './walk-state.ts';

/** The relay's channels are shard channels, which came with this version. */
const OLDEST = 7;

const fieldOf = (info: string, name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];

/** Writes nothing, and is refused where a write would be. */
async function assertWritable(asker: RedisAsker, prefix: string): Promise<void> {
  await asker.ask('UNLINK', `${prefix}:{relays}:doctor`).catch((error: unknown) => {
    // One server of a cluster has this key, and the others say which.
    if (error instanceof RedisRefusal && error.message.startsWith('MOVED ')) return 0;
    throw error;
  });
}

/** The relays that keep marks under this prefix and share no secret with this environment; see `redis-deployment.ts` of the relay. */
async function strangersIn(asker: RedisAsker, { redisPrefix, relaySecrets }: Patient): Promise<string[]> {
  if (!relaySecrets) return [];
  const own = new Set(fingerprintsOf(relaySecrets));
  const key = `${redisPrefix}:{relays}:deployments`;
  // By the clock of Redis, as the relays write them.
  const time = await asker.ask('TIME');
  const now = Array.isArray(time) ? Number(time[0]) * 1_000 : 0;
  const marks = await asker.ask('ZRANGEBYSCORE', key, String(now), '+inf').catch((error: unknown) => {
    if (error instanceof RedisRefusal) return [];
    throw error;
  });
  return (Array.isArray(marks) ? marks : []).flatMap((mark) => {
    const [, node, theirs = ''] = /^(\S+) (\S+)$/.exec(String(mark)) ?? [];
    const isOurs = theirs.split(',').some((fingerprint) => own.has(fingerprint));
    return node === undefined || isOurs ? [] : [node];
  });
}

function refused(asker: string, error: RedisRefusal): Outcome {
  if (/^(?:NOAUTH|WRONGPASS|NOPERM|ERR invalid password|ERR Client sent AUTH)/i.test(error.message)) {
    return failed(
      'REDIS_REFUSES',
      `Redis at ${asker} refuses: ${error.message}`,
      'correct the user and the password in REDIS_URL, and the rights of that user',
    );
  }
  if (error.message.startsWith('READONLY')) {
    return failed(
      'REDIS_READ_ONLY',
      `Redis at ${asker} takes no writes: it is a replica`,
      'point REDIS_URL at the master, or use redis+sentinel://',
    );
  }
  return failed(
    'REDIS_UNREACHABLE',
    `Redis at ${asker} refuses: ${error.message}`,
    'look at its log; MISCONF is a full disk, LOADING passes',
  );
}

async function examine(asker: RedisAsker, walk: Walk): Promise<{ version: string; policy: string } | Outcome> {
  const server = String(await asker.ask('INFO', 'server'));
  const version = fieldOf(server, 'redis_version') ?? 'unknown';
  if (Number.parseInt(version, 10) < OLDEST) {
    return failed('REDIS_TOO_OLD', `Redis at ${asker.address} is ${version}`, `use Redis ${OLDEST} or newer`);
  }
  const isReplica = fieldOf(String(await asker.ask('INFO', 'replication')), 'role') === 'slave';
  if (isReplica) return refused(asker.address, new RedisRefusal('READONLY'));
  await assertWritable(asker, walk.patient.redisPrefix);
  const strangers = await strangersIn(asker, walk.patient);
  // Where the relay that was asked refuses this environment's secret, that is what differs, and not a deployment.
  if (strangers.length > 0 && walk.relayTakesService !== false) {
    const { redisPrefix } = walk.patient;
    return failed(
      'FOREIGN_DEPLOYMENT',
      `relays of another deployment use REDIS_PREFIX "${redisPrefix}" in this Redis (${strangers.slice(0, 3).join(', ')})`,
      'give this deployment a REDIS_PREFIX of its own or, where the secret is being changed, set RELAY_SERVICE_SECRET_PREVIOUS',
    );
  }
  return { version, policy: fieldOf(String(await asker.ask('INFO', 'memory')), 'maxmemory_policy') ?? 'unknown' };
}

/** The relay's own word that it cannot use Redis. Why it cannot is seen from here only with the REDIS_URL of the relays. */
export function unusable({ redis, relayUrl }: Patient, said: string, url = relayUrl): Outcome {
  return failed(
    'REDIS_UNREACHABLE',
    `the relay at ${url} cannot use Redis (${said})`,
    redis
      ? 'look at Redis, and at REDIS_URL of the relay; its log has the reason'
      : 'start Redis; to see why, run this with REDIS_URL of the relays',
    { blames: 'redis' },
  );
}

/** Redis by this environment's REDIS_URL. Without one it is looked at through the relay alone. */
export const probeRedis: Probe = async (walk) => {
  const { redis, timeoutMs } = walk.patient;
  const isOutOfUse = walk.relayPutsOff === 'BROKER_UNAVAILABLE';
  if (!redis) {
    if (isOutOfUse) return unusable(walk.patient, 'BROKER_UNAVAILABLE');
    const kinds = new Set([...walk.infos.values()].map(({ groupLog }) => groupLog));
    return skipped(
      kinds.has('redis') ? 'the relay uses Redis, and this environment has no REDIS_URL' : 'no REDIS_URL here',
    );
  }
  let askers: RedisAsker[] = [];
  try {
    askers = await openRedis(redis, timeoutMs);
    const found = await Promise.all(askers.map(async (asker) => examine(asker, walk)));
    const [first] = found;
    const bad = found.find((each) => 'state' in each);
    if (bad && 'state' in bad) return bad;
    const policies = new Set(found.flatMap((each) => ('policy' in each ? [each.policy] : [])));
    policies.delete('noeviction');
    policies.delete('unknown');
    if (policies.size > 0) {
      return failed(
        'REDIS_EVICTS',
        `the maxmemory-policy is ${[...policies].join(', ')}: Redis may forget what the relays share`,
        'redis-cli config set maxmemory-policy noeviction, and in redis.conf',
      );
    }
    if (isOutOfUse) return unusable(walk.patient, 'BROKER_UNAVAILABLE');
    const { version } = first && 'version' in first ? first : { version: '' };
    const servers = askers.length === 1 ? 'one server' : `${askers.length} servers`;
    const inMemory = [...walk.infos.values()].some(({ groupLog }) => groupLog === 'memory');
    const unused = inMemory ? '; a relay that was asked uses none: its REDIS_URL is not set' : '';
    return ok(`Redis ${version}, writable, noeviction, ${servers}${unused}`);
  } catch (error) {
    const where = askers[0]?.address ?? 'REDIS_URL';
    if (error instanceof RedisRefusal) return refused(where, error);
    return failed(
      'REDIS_UNREACHABLE',
      `Redis does not answer (${reasonOf(error)})`,
      'start Redis, or correct REDIS_URL',
    );
  } finally {
    for (const asker of askers) asker.close();
  }
};
