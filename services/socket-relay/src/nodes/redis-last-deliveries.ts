import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Position } from '@groupcast/shared';
import type { RedisConnections } from '../redis/connections.ts';
import { loadScript } from '../redis/lua.ts';
import type { GroupPlace, Unwritten } from '../sessions/offsets.ts';
import type { LastDeliveries, LastDelivery } from './session-store.ts';

/** Shortest time between two writes, in milliseconds: the first delivery after a pause is written at the end of its turn. */
const WRITE_INTERVAL_MS = 5;
const RETRY_MS = 1_000;
const TTL_SECONDS = 600;
const RENEW_MS = 200_000;
/** Most groups that are kept; with more of them they are begun anew. About 7 MB of Redis. */
const MAX_FIELDS = 50_000;
/** Groups that are written by one call of the script. */
const FIELDS_AT_ONCE = 2_000;
const [FROM, UP_TO, KEY, GROUP] = ['from', 'upTo', 'key', 'g'];
/** In the place of groups that were too many to remember: nobody can say where the node stands there. */
const SOME_GROUP: GroupPlace = ['', null];

function encode({ number, position }: LastDelivery): string {
  return JSON.stringify(position ? [number, position.epoch, position.seq] : [number]);
}

function decode(text: string): LastDelivery {
  const [number, epoch, seq] = JSON.parse(text) as [number, string?, number?];
  return { number, position: epoch === undefined || seq === undefined ? null : { epoch, seq } };
}

interface WithDeliveries {
  groupcastDeliveries(key: string, ...args: (string | number)[]): Promise<unknown>;
}

/** One hash for each node, with the last delivery of each of its groups. */
export interface RedisLastDeliveries {
  /** Begins to keep them, if that has not begun, and says how far the node is. */
  begin(): void;
  delivered(groupId: string, number: number, position: Position | null): void;
  /** The groups whose last deliveries have not been written, as far as it is known. */
  unwritten(): Unwritten;
  read(holder: string, groupIds: readonly string[]): Promise<LastDeliveries | undefined>;
  stop(): Promise<void>;
}

export function createRedisLastDeliveries(
  deps: { redis: RedisConnections; holder: string; key: string; lastNumber: () => number; log: Logger },
  now: () => number = () => performance.now(),
): RedisLastDeliveries {
  const { redis, holder, lastNumber, log } = deps;
  const { commands, names } = redis;
  commands.defineCommand('groupcastDeliveries', { numberOfKeys: 1, lua: loadScript('last-deliveries-write') });
  const scripts = commands as unknown as WithDeliveries;
  const warn = warnOnceEvery(60_000);
  const keyOf = (of: string): string => names.key(`deliveries:{${of}}`);
  const own = keyOf(holder);
  let dirty = new Map<string, LastDelivery>();
  let beingWritten: ReadonlyMap<string, LastDelivery> = new Map();
  /** The deliveries that were written: a position stays where later events have none. */
  const written = new Map<string, LastDelivery>();
  /** Everything up to this number has been written, as far as it is known. */
  let upTo = 0;
  /** How often there was too much to remember while Redis was away, and how often that is written. */
  let losses = 0;
  let writtenLosses = 0;
  let hasBegun = false;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  let writing: Promise<void> | undefined;
  let isStopped = false;

  function plan(delayMs = writtenAt + WRITE_INTERVAL_MS - now()): void {
    if (timer || writing || isStopped) return;
    timer = delayMs > 0 ? setTimeout(flush, delayMs).unref() : setImmediate(flush);
  }

  /** Writes a batch that reaches up to `last`. */
  async function write(batch: ReadonlyMap<string, LastDelivery>, last: number, wasLost: boolean): Promise<void> {
    if (!redis.isReady()) throw new Error('redis is away');
    const lossesBefore = losses;
    const beginsAnew = wasLost || written.size + batch.size > MAX_FIELDS;
    const fields = [...batch].map(([groupId, delivery]) => [GROUP + groupId, encode(delivery)] as const);
    for (let start = 0; start === 0 || start < fields.length; start += FIELDS_AT_ONCE) {
      const some = fields.slice(start, start + FIELDS_AT_ONCE);
      const isFirst = start === 0;
      const isLast = start + FIELDS_AT_ONCE >= fields.length;
      // A hash that begins anew now lacks what was lost, and what the calls before this one have written.
      const from = wasLost || !isFirst ? last : upTo;
      const mode = isFirst && beginsAnew ? 'anew' : '';
      const args = [upTo, mode, from, isLast ? last : upTo, deps.key, TTL_SECONDS, ...some.flat()];
      // One after the other: the last one says that all are there.
      await scripts.groupcastDeliveries(own, ...args);
    }
    if (beginsAnew) written.clear();
    // After a loss meanwhile, these positions may be older than the ones that were lost.
    if (losses === lossesBefore) for (const [groupId, delivery] of batch) written.set(groupId, delivery);
    upTo = last;
  }

  function flush(): void {
    timer = undefined;
    writtenAt = now();
    const batch = dirty;
    const taken = losses;
    dirty = new Map();
    beingWritten = batch;
    writing = write(batch, lastNumber(), taken > writtenLosses).then(
      () => {
        writing = undefined;
        writtenLosses = taken;
        beingWritten = new Map();
        if (dirty.size > 0) plan();
      },
      (error: unknown) => {
        writing = undefined;
        warn('write', (suppressed) =>
          log.warn({ err: error, suppressed }, 'unable to keep the last deliveries in redis; will try again'),
        );
        if (losses === taken) dirty = new Map([...batch, ...dirty]);
        beingWritten = new Map();
        plan(RETRY_MS);
      },
    );
  }

  function* unwrittenGroups(): Iterable<GroupPlace> {
    if (losses > writtenLosses) yield SOME_GROUP;
    for (const [groupId, { position }] of dirty) yield [groupId, position];
    for (const [groupId, { position }] of beingWritten) if (!dirty.has(groupId)) yield [groupId, position];
  }

  async function renew(): Promise<void> {
    // Redis has forgotten them.
    if ((await commands.expire(own, TTL_SECONDS)) === 0) plan();
  }
  const renewing = setInterval(() => {
    if (hasBegun && redis.isReady())
      renew().catch((error: unknown) => log.debug({ err: error }, 'unable to renew the last deliveries'));
  }, RENEW_MS);
  renewing.unref();

  return {
    begin() {
      if (!hasBegun) upTo = lastNumber();
      else if (lastNumber() === upTo) return;
      hasBegun = true;
      plan();
    },
    delivered(groupId, number, position) {
      if (!hasBegun) return;
      if (dirty.size >= MAX_FIELDS && !dirty.has(groupId)) {
        dirty.clear();
        beingWritten = new Map();
        written.clear();
        losses += 1;
      }
      const before = position ? undefined : (dirty.get(groupId) ?? beingWritten.get(groupId) ?? written.get(groupId));
      dirty.set(groupId, { number, position: position ?? before?.position ?? null });
      plan();
    },
    unwritten: () => ({ upTo, groups: unwrittenGroups() }),
    async read(of, groupIds) {
      const fields = groupIds.map((groupId) => GROUP + groupId);
      const [from, last, key, ...texts] = await commands.hmget(keyOf(of), FROM, UP_TO, KEY, ...fields);
      if (typeof from !== 'string' || typeof last !== 'string' || typeof key !== 'string') return undefined;
      const known = new Map<string, LastDelivery>();
      for (const [index, text] of texts.entries()) {
        const groupId = groupIds[index];
        if (groupId !== undefined && typeof text === 'string') known.set(groupId, decode(text));
      }
      return { from: Number(from), upTo: Number(last), key, of: known };
    },
    async stop() {
      isStopped = true;
      clearInterval(renewing);
      clearTimeout(timer as NodeJS.Timeout);
      clearImmediate(timer as NodeJS.Immediate);
      await writing;
      if (!hasBegun || !redis.isReady()) return;
      await write(dirty, lastNumber(), losses > writtenLosses).catch((error: unknown) => {
        log.warn({ err: error }, 'unable to keep the last deliveries in redis; this relay stops without');
      });
    },
  };
}
