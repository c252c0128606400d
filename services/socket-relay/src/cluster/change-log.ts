import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { MemberChange } from '@groupcast/shared';
import { brokerUnavailable, type RedisConnections } from './redis.ts';

/** A change with the second (Unix, Redis's clock) at which it was stored. */
export interface StoredChange {
  change: MemberChange;
  second: number;
}

/**
 * The changes of members and revocations, in one order for all relays. A relay that starts reads what is still remembered, and
 * follows from there; one that was away goes on where it was.
 */
export interface ChangeLog {
  /** Stores a change. It is carried out as it comes back: see `reached`. */
  append(change: MemberChange): Promise<string>;
  /** Resolves with what carrying it out brought, once this node has come to it. Rejects when that takes too long. */
  reached(id: string): Promise<{ connections: number }>;
  stop(): Promise<void>;
}

export interface ChangeLogOptions {
  redis: RedisConnections;
  memoryMs: number;
  /** Told before the first change: since when (Unix seconds) the log knows every change. */
  onBirth: (second: number) => void;
  /** A change from before this node started: to be remembered. */
  remember: (stored: StoredChange) => void;
  /** A new change: to be remembered and carried out. Answers how many connections it was about. */
  carryOut: (stored: StoredChange) => Promise<number>;
  log: Logger;
}

const KEY = 'gc:{relays}:changes';
const BIRTH_KEY = 'gc:{relays}:changes-since';
const BLOCK_MS = 1_000;
const PAGE = 500;
const REACH_TIMEOUT_MS = 2_000;
const RETRY_MS = 250;
/** What the newest changes brought, for those who ask; the oldest are forgotten. */
const MAX_OUTCOMES = 1_000;

export async function startChangeLog(options: ChangeLogOptions): Promise<ChangeLog> {
  const { log } = options;
  const { commands, blocking } = options.redis;
  const warn = warnOnceEvery(60_000);
  const outcomes = new Map<string, number>();
  const waiting = new Map<string, (connections: number) => void>();
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
    outcomes.set(id, connections);
    const [oldest] = outcomes.keys();
    if (outcomes.size > MAX_OUTCOMES && oldest !== undefined) outcomes.delete(oldest);
    waiting.get(id)?.(connections);
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
    async reached(id) {
      const known = outcomes.get(id);
      if (known !== undefined) return { connections: known };
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise<{ connections: number }>((resolve, reject) => {
          waiting.set(id, (connections) => resolve({ connections }));
          timer = setTimeout(
            () => reject(brokerUnavailable('carry out a change of members in time', undefined)),
            REACH_TIMEOUT_MS,
          );
        });
      } finally {
        clearTimeout(timer);
        waiting.delete(id);
      }
    },
    async stop() {
      stopping.abort();
      blocking.disconnect();
      await following;
    },
  };
}
