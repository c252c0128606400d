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
/** A read that takes so much longer than it may block says that its connection is dead. */
const OVERDUE_MS = 3_000;
const CATCH_UP_MS = 5_000;
const KINDS: ReadonlySet<string> = new Set<MemberChange['kind']>(['add-members', 'remove-members', 'disconnect-users']);

/** A stream that every relay follows. */
export async function startRedisChangeLog(
  options: ChangeLogOptions & { redis: RedisConnections; memoryMs: number },
): Promise<ChangeLog> {
  const { log } = options;
  const { commands, blocking } = options.redis;
  const warn = warnOnceEvery(60_000);
  const outcomes = createOutcomes();
  let lastId = '0-0';
  let birth = 0;
  const stopping = new AbortController();

  function parse(id: string, fields: readonly string[]): StoredChange | undefined {
    try {
      const change = JSON.parse(fields[1] ?? '') as MemberChange;
      if (!KINDS.has(change?.kind) || !Array.isArray(change.userIds)) throw new Error('not a change of members');
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
    // A store that was lost with its memory begins anew: what it knew before, nobody vouches for.
    birth = Math.max(birth, Number(await commands.get(BIRTH_KEY)) || Number(second));
    options.onBirth(birth);
  }

  async function readPast(): Promise<void> {
    await readBirth();
    for (;;) {
      const entries = await commands.xrange(KEY, lastId === '0-0' ? '-' : `(${lastId}`, '+', 'COUNT', PAGE);
      for (const [id, fields] of entries) {
        const stored = parse(id, fields);
        if (stored) options.remember(stored);
        lastId = id;
        outcomes.settle(id, 0);
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

  /** A connection may be dead without a word; a read that does not come back in time ends it. */
  async function readNext(): ReturnType<typeof blocking.xread> {
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        blocking.disconnect(true);
        reject(new Error('redis does not answer'));
      }, BLOCK_MS + OVERDUE_MS);
    });
    const read = blocking.xread('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', KEY, lastId);
    return Promise.race([read, overdue]).finally(() => clearTimeout(timer));
  }

  async function caughtUp(): Promise<void> {
    await readBirth();
    const [newest] = await commands.xrevrange(KEY, '+', '-', 'COUNT', 1);
    const deadline = performance.now() + CATCH_UP_MS;
    const isBehind = (): boolean => newest !== undefined && isBefore(lastId, newest[0]);
    while (isBehind()) {
      if (performance.now() > deadline) throw brokerUnavailable('catch up with the changes of members', undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Redis may have come back without its memory. */
  function onReady(): void {
    readBirth().catch((error: unknown) => log.debug({ err: error }, 'unable to read how old the changes are'));
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const answer = await readNext();
        for (const [, entries] of answer ?? []) for (const [id, fields] of entries) await carryOut(id, fields);
      } catch (error) {
        if (stopping.signal.aborted) return;
        warn('follow', (suppressed) => log.warn({ err: error, suppressed }, 'unable to follow the changes of members'));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  await readPast();
  commands.on('ready', onReady);
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
    caughtUp,
    async stop() {
      stopping.abort();
      commands.off('ready', onReady);
      blocking.disconnect();
      await following;
    },
  };
}

/** Ids of a stream are milliseconds and a number within them. */
function isBefore(id: string, other: string): boolean {
  const [ms = 0, n = 0] = id.split('-').map(Number);
  const [otherMs = 0, otherN = 0] = other.split('-').map(Number);
  return ms < otherMs || (ms === otherMs && n < otherN);
}
