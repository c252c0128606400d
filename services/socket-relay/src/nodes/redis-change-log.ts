import { warnOnceEvery } from '@groupcast/service-kit';
import type { MemberChange } from '@groupcast/shared';
import { BLOCK_MS, type RedisConnections } from '../redis/connections.ts';
import { isReply } from '../redis/errors.ts';
import { brokerUnavailable } from './broker-errors.ts';
import { type ChangeLog, type ChangeLogOptions, createOutcomes, type StoredChange } from './change-log.ts';
import { createRedisChangeStore, type StreamEntry, toStreamEntry } from './redis-change-store.ts';

/** Entries that are read at once. One entry may name 1,000 users, with 255 KB. */
const PAGE = 100;
const RETRY_MS = 250;
const CATCH_UP_MS = 5_000;
const KINDS: ReadonlySet<string> = new Set<MemberChange['kind']>([
  'add-members',
  'remove-members',
  'remove-everyone',
  'disconnect-users',
]);

function isChange(value: unknown): value is MemberChange {
  const change = value as MemberChange | null;
  if (!KINDS.has(change?.kind ?? '')) return false;
  return change?.kind === 'remove-everyone' ? typeof change.groupId === 'string' : Array.isArray(change?.userIds);
}

/**
 * Follows a stream of changes, as every relay does. Redis may lose the stream: evict it, delete it, or restore it from before. Then the
 * stream has another birth, or its numbers do not go on, and every relay takes its own memory for younger than it is: claims from before
 * are confirmed with the API again.
 */
export async function startRedisChangeLog(
  options: ChangeLogOptions & { redis: RedisConnections; memoryMs: number; maxEntries: number },
): Promise<ChangeLog> {
  const { log, memoryMs, maxEntries } = options;
  const { commands, blocking } = options.redis;
  const store = createRedisChangeStore(options.redis, { memoryMs, maxEntries });
  const warn = warnOnceEvery(60_000);
  const outcomes = createOutcomes();
  let lastId = '0-0';
  /** The number of the entry at `lastId`, if it has one. */
  let lastCount: number | undefined;
  let birth = 0;
  /** Since when this relay knows every change, in Unix seconds. */
  let horizon = 0;
  const stopping = new AbortController();

  function parse({ id, json }: StreamEntry): StoredChange | undefined {
    try {
      const change: unknown = JSON.parse(json);
      if (!isChange(change)) throw new Error('not a change of members');
      return { change, second: secondOf(id) };
    } catch (error) {
      log.error({ err: error, id }, 'a change of members was not understood');
      return undefined;
    }
  }

  function moveHorizon(second: number): void {
    if (second <= horizon) return;
    horizon = second;
    options.onBirth(horizon);
  }

  /** Whether the stream is still the one that was followed. */
  function recognise(now: number, what: string): boolean {
    if (now <= birth) return true;
    const lost = birth;
    birth = now;
    moveHorizon(birth);
    warn('lost', (suppressed) => {
      log.warn(
        { lost, birth, suppressed },
        `redis has lost changes of members (${what}): claims of tokens from before are confirmed with the API`,
      );
    });
    return false;
  }

  async function readPast(): Promise<void> {
    const state = await store.look();
    ({ birth } = state);
    let since = state.horizon;
    for (;;) {
      const entries = await store.read(lastId, PAGE);
      for (const entry of entries) {
        const stored = parse(entry);
        if (stored) options.remember(stored);
        // Changes that were dropped while this relay read are missing here.
        since = Math.max(since, entry.horizon ?? 0);
        lastId = entry.id;
        lastCount = entry.count;
        outcomes.settle(entry.id, 0);
      }
      if (entries.length < PAGE) break;
    }
    moveHorizon(since);
  }

  /** Checks that nothing is missing between the last entry and this one. */
  async function checkNumber({ id, birth: itsBirth, count }: StreamEntry): Promise<void> {
    const expected = lastCount === undefined ? undefined : lastCount + 1;
    const isSame = itsBirth === undefined || recognise(itsBirth, 'the stream began anew');
    if (!isSame || count === undefined || expected === undefined || count === expected) return;
    if (count > expected) {
      // It was dropped before this relay had read it.
      warn('dropped', () => log.warn({ id }, 'changes of members were dropped before this relay had read them'));
      moveHorizon(secondOf(id) + 1);
      return;
    }
    recognise((await store.renounce(birth)).birth, 'the newest changes are gone');
  }

  async function carryOut(entry: StreamEntry): Promise<void> {
    await checkNumber(entry);
    const stored = parse(entry);
    let connections = 0;
    try {
      if (stored) connections = await options.carryOut(stored);
    } catch (error) {
      log.error({ err: error, id: entry.id }, 'unable to carry out a change of members');
    }
    lastId = entry.id;
    lastCount = entry.count;
    outcomes.settle(entry.id, connections);
  }

  /** The newest id when a read brought nothing. If the next read does not bring it either, it reads from another server. */
  let unread: string | undefined;

  /**
   * Asks whether the stream is still there, because a stream that is gone says nothing. Only `follow` may call it, and goes on from where
   * it says.
   */
  async function checkStream(): Promise<void> {
    const state = await store.look();
    const isSame = recognise(state.birth, 'the stream is gone');
    if (isSame && isBefore(lastId, state.id)) {
      if (unread !== undefined && isBefore(lastId, unread)) blocking.disconnect(true);
      unread = state.id;
      return;
    }
    unread = undefined;
    if (!isBefore(state.id, lastId)) return;
    // An entry that is stored now would not come after the last one that was read.
    lastId = isSame ? state.id : '0-0';
    lastCount = isSame ? state.count : undefined;
    if (isSame) recognise((await store.renounce(birth)).birth, 'the newest changes are gone');
  }

  /** Ends a connection whose read has no answer in time: a connection may be dead without a word. */
  async function readNext(): ReturnType<typeof blocking.xread> {
    try {
      return await blocking.xread('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', store.key, lastId);
    } catch (error) {
      if (!isReply(error) && blocking.status === 'ready') blocking.disconnect(true);
      throw error;
    }
  }

  async function caughtUp(): Promise<void> {
    let newest = await store.look();
    recognise(newest.birth, 'the stream is gone');
    const deadline = performance.now() + CATCH_UP_MS;
    // If the stream is behind this relay, `follow` finds that, and goes back.
    while (isBefore(lastId, newest.id) || isBefore(newest.id, lastId)) {
      const now = isBefore(newest.id, lastId) ? await store.look() : newest;
      // The relay is further because more has been stored since, and not because the stream went back.
      if (now !== newest && now.birth === newest.birth && !isBefore(now.id, lastId)) return;
      // The stream began anew meanwhile: the earlier entries are gone.
      if (now.birth !== newest.birth) newest = now;
      if (performance.now() > deadline) throw brokerUnavailable('catch up with the changes of members', undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Redis may have come back without its memory. */
  function onReady(): void {
    store.look().then(
      (state) => recognise(state.birth, 'the stream is gone'),
      (error: unknown) => log.debug({ err: error }, 'unable to read how old the changes are'),
    );
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const answer = await readNext();
        for (const [, entries] of answer ?? []) {
          for (const [id, fields] of entries) await carryOut(toStreamEntry(id, fields));
        }
        if (!answer) await checkStream();
      } catch (error) {
        if (stopping.signal.aborted) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        // While Redis is away, another part says so.
        if (!options.redis.isReady() || stopping.signal.aborted) continue;
        warn('follow', (suppressed) => log.warn({ err: error, suppressed }, 'unable to follow the changes of members'));
      }
    }
  }

  await readPast();
  commands.on('ready', onReady);
  const following = follow();

  return {
    async append(change) {
      try {
        return (await store.append(change)).id;
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

/** The id of an entry is Redis's clock in milliseconds, and a number within the millisecond. */
function secondOf(id: string): number {
  return Math.floor(Number.parseInt(id, 10) / 1_000);
}

function isBefore(id: string, other: string): boolean {
  const [ms = 0, n = 0] = id.split('-').map(Number);
  const [otherMs = 0, otherN = 0] = other.split('-').map(Number);
  return ms < otherMs || (ms === otherMs && n < otherN);
}
