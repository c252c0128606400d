import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Position } from '@groupcast/shared';
import type { RedisConnections } from '../redis/connections.ts';
import type { GroupPlace } from '../sessions/offsets.ts';
import type { LastDeliveries, LastDelivery } from './session-store.ts';

/** Shortest time between two writes, in milliseconds: the first delivery after a pause is written at the end of its turn. */
const WRITE_INTERVAL_MS = 5;
const RETRY_MS = 1_000;
const TTL_SECONDS = 600;
const RENEW_MS = 200_000;
/** Most groups that are kept; with more of them they are begun anew. About 7 MB of Redis. */
const MAX_FIELDS = 50_000;
const FIELDS_AT_ONCE = 1_000;
const [FROM, UP_TO, GROUP] = ['from', 'upTo', 'g'];

function encode({ number, position }: LastDelivery): string {
  return JSON.stringify(position ? [number, position.epoch, position.seq] : [number]);
}

function decode(text: string): LastDelivery {
  const [number, epoch, seq] = JSON.parse(text) as [number, string?, number?];
  return { number, position: epoch === undefined || seq === undefined ? null : { epoch, seq } };
}

/** One hash for each node, with the last delivery of each of its groups. */
export interface RedisLastDeliveries {
  /** Begins to keep them, if that has not begun. */
  begin(): void;
  delivered(groupId: string, number: number, position: Position | null): void;
  /** The groups whose last deliveries have not been written, as far as it is known. */
  unwritten(): Iterable<GroupPlace>;
  read(holder: string, groupIds: readonly string[]): Promise<LastDeliveries | undefined>;
  stop(): Promise<void>;
}

export function createLastDeliveries(
  deps: { redis: RedisConnections; holder: string; lastNumber: () => number; log: Logger },
  now: () => number = () => performance.now(),
): RedisLastDeliveries {
  const { redis, holder, lastNumber, log } = deps;
  const { commands, names } = redis;
  const warn = warnOnceEvery(60_000);
  const keyOf = (of: string): string => names.key(`deliveries:{${of}}`);
  const own = keyOf(holder);
  let dirty = new Map<string, LastDelivery>();
  let beingWritten: ReadonlyMap<string, LastDelivery> = new Map();
  /** The deliveries that were written: a position stays where later events have none. */
  const written = new Map<string, LastDelivery>();
  /** Everything up to this number has been written, as far as it is known. */
  let upTo = 0;
  /** Some of what has been delivered since was too much to remember while Redis was away. */
  let isLost = false;
  let hasBegun = false;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  let writing: Promise<void> | undefined;

  function plan(delayMs = writtenAt + WRITE_INTERVAL_MS - now()): void {
    if (timer || writing) return;
    timer = delayMs > 0 ? setTimeout(flush, delayMs).unref() : setImmediate(flush);
  }

  async function write(batch: ReadonlyMap<string, LastDelivery>, last: number): Promise<void> {
    if (!redis.isReady()) throw new Error('redis is away');
    const pipeline = commands.pipeline();
    const beginsAnew = isLost || written.size + batch.size > MAX_FIELDS;
    if (beginsAnew) pipeline.unlink(own);
    // A hash that Redis has lost, or that begins anew, does not know what was delivered before.
    pipeline.hsetnx(own, FROM, isLost ? last : upTo);
    const fields = [...batch].map(([groupId, delivery]) => [GROUP + groupId, encode(delivery)] as const);
    for (let start = 0; start < fields.length; start += FIELDS_AT_ONCE)
      pipeline.hset(own, ...fields.slice(start, start + FIELDS_AT_ONCE).flat());
    pipeline.hset(own, UP_TO, last);
    pipeline.expire(own, TTL_SECONDS);
    const results = (await pipeline.exec()) ?? [];
    const failed = results.find(([error]) => error);
    if (failed) throw failed[0];
    if (beginsAnew) written.clear();
    isLost = false;
    for (const [groupId, delivery] of batch) written.set(groupId, delivery);
    upTo = last;
  }

  function flush(): void {
    timer = undefined;
    writtenAt = now();
    const batch = dirty;
    dirty = new Map();
    beingWritten = batch;
    writing = write(batch, lastNumber()).then(
      () => {
        writing = undefined;
        beingWritten = new Map();
        if (dirty.size > 0) plan();
      },
      (error: unknown) => {
        writing = undefined;
        warn('write', (suppressed) =>
          log.warn({ err: error, suppressed }, 'unable to keep the last deliveries in redis; will try again'),
        );
        dirty = new Map([...batch, ...dirty]);
        beingWritten = new Map();
        plan(RETRY_MS);
      },
    );
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
      if (hasBegun) return;
      hasBegun = true;
      upTo = lastNumber();
      plan();
    },
    delivered(groupId, number, position) {
      if (!hasBegun) return;
      if (dirty.size >= MAX_FIELDS && !dirty.has(groupId)) {
        dirty.clear();
        isLost = true;
      }
      const before = position ? undefined : (dirty.get(groupId) ?? written.get(groupId));
      dirty.set(groupId, { number, position: position ?? before?.position ?? null });
      plan();
    },
    *unwritten() {
      for (const [groupId, { position }] of dirty) yield [groupId, position];
      for (const [groupId, { position }] of beingWritten) if (!dirty.has(groupId)) yield [groupId, position];
    },
    async read(of, groupIds) {
      const fields = groupIds.map((groupId) => GROUP + groupId);
      const [from, last, ...texts] = await commands.hmget(keyOf(of), FROM, UP_TO, ...fields);
      if (typeof from !== 'string' || typeof last !== 'string') return undefined;
      const known = new Map<string, LastDelivery>();
      for (const [index, text] of texts.entries()) {
        const groupId = groupIds[index];
        if (groupId !== undefined && typeof text === 'string') known.set(groupId, decode(text));
      }
      return { from: Number(from), upTo: Number(last), of: known };
    },
    async stop() {
      clearInterval(renewing);
      clearTimeout(timer as NodeJS.Timeout);
      clearImmediate(timer as NodeJS.Immediate);
      await writing;
      clearTimeout(timer as NodeJS.Timeout);
      if (hasBegun && redis.isReady()) await write(dirty, lastNumber()).catch(() => undefined);
    },
  };
}
