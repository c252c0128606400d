import { warnOnceEvery } from '@groupcast/service-kit';
import type { MemberChange } from '@groupcast/shared';
import { brokerUnavailable } from './broker.ts';
import { type ChangeLog, type ChangeLogOptions, createOutcomes, type StoredChange } from './change-log.ts';
import type { RedisConnections } from './redis.ts';

const KEY = 'gc:{relays}:changes';
const BIRTH_KEY = 'gc:{relays}:changes-since';
const BLOCK_MS = 1_000;
const PAGE = 500;
const RETRY_MS = 250;

/** A stream that every relay follows. */
export async function startRedisChangeLog(
  options: ChangeLogOptions & { redis: RedisConnections; memoryMs: number },
): Promise<ChangeLog> {
  const { log } = options;
  const { commands, blocking } = options.redis;
  const warn = warnOnceEvery(60_000);
  const outcomes = createOutcomes();
  let lastId = '0-0';
  const stopping = new AbortController();

  function parse(id: string, fields: readonly string[]): StoredChange | undefined {
    try {
      const change = JSON.parse(fields[1] ?? '') as MemberChange;
      return { change, second: Math.floor(Number.parseInt(id, 10) / 1_000) };
    } catch (error) {
      log.error({ err: error, id }, 'a change of members was not understood');
      return undefined;
    }
  }

  /** Whoever starts first says since when; Redis's clock, as for the changes. */
  async function readBirth(): Promise<void> {
    const [second = '0'] = await commands.time().then((time) => time.map(String));
    await commands.set(BIRTH_KEY, second, 'NX');
    options.onBirth(Number(await commands.get(BIRTH_KEY)) || Number(second));
  }

  async function readPast(): Promise<void> {
    await readBirth();
    for (;;) {
      const entries = await commands.xrange(KEY, lastId === '0-0' ? '-' : `(${lastId}`, '+', 'COUNT', PAGE);
      for (const [id, fields] of entries) {
        const stored = parse(id, fields);
        if (stored) options.remember(stored);
        lastId = id;
      }
      if (entries.length < PAGE) return;
    }
  }

  async function carryOut(id: string, fields: readonly string[]): Promise<void> {
    const stored = parse(id, fields);
    let connections = 0;
    try {
      if (stored) connections = await options.carryOut(stored);
    } catch (error) {
      log.error({ err: error, id }, 'unable to carry out a change of members');
    }
    lastId = id;
    outcomes.settle(id, connections);
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const answer = await blocking.xread('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', KEY, lastId);
        for (const [, entries] of answer ?? []) for (const [id, fields] of entries) await carryOut(id, fields);
      } catch (error) {
        if (stopping.signal.aborted) return;
        warn('follow', (suppressed) => log.warn({ err: error, suppressed }, 'unable to follow the changes of members'));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  await readPast();
  const following = follow();

  return {
    async append(change) {
      try {
        const oldest = Date.now() - options.memoryMs;
        const id = await commands.xadd(KEY, 'MINID', '~', oldest, '*', 'j', JSON.stringify(change));
        if (id === null) throw new Error('nothing was stored');
        return id;
      } catch (cause) {
        throw brokerUnavailable('store a change of members', cause);
      }
    },
    reached: async (id) => outcomes.reached(id),
    async stop() {
      stopping.abort();
      blocking.disconnect();
      await following;
    },
  };
}
