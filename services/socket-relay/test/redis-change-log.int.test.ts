import type { MemberChange } from '@groupcast/shared';
import { type RedisCluster, type RedisServer, startRedis, startRedisCluster, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ChangeLog } from '../src/nodes/change-log.ts';
import { startRedisChangeLog } from '../src/nodes/redis-change-log.ts';
import { connectRedis, type RedisConnections } from '../src/redis/connections.ts';
import { parseRedisUrl } from '../src/redis/target.ts';

const KEY = 'gc:{relays}:changes';
const log = pino({ level: 'silent' });

const removal = (...userIds: string[]): MemberChange => ({ kind: 'remove-members', groupId: 'g', userIds });

interface Follower extends ChangeLog {
  /** Since when it knows every change, in seconds. */
  bornAt: number;
  remembered: string[];
  carriedOut: string[];
}

describe.each([
  ['Redis', async (): Promise<RedisServer> => startRedis()],
  ['a Redis Cluster of three nodes', async (): Promise<RedisCluster> => startRedisCluster()],
])('the changes of members in %s', (_name, start) => {
  let redis: RedisServer | RedisCluster;
  let admin: RedisConnections;
  const followers: { log: ChangeLog; connections: RedisConnections }[] = [];

  async function connect(): Promise<RedisConnections> {
    const target = parseRedisUrl(redis.url);
    if (!target) throw new Error(`${redis.url} is no redis url`);
    const connections = await connectRedis(target, log);
    await until('redis', () => connections.isReady() && connections.blocking.status === 'ready');
    return connections;
  }

  async function follow(maxEntries = 100_000): Promise<Follower> {
    const connections = await connect();
    const seen = { bornAt: 0, remembered: [] as string[], carriedOut: [] as string[] };
    const names = (change: MemberChange): string[] => ('userIds' in change ? change.userIds : []);
    const changeLog = await startRedisChangeLog({
      redis: connections,
      memoryMs: 3_600_000,
      maxEntries,
      log,
      onBirth: (second) => {
        seen.bornAt = second;
      },
      remember: ({ change }) => void seen.remembered.push(...names(change)),
      carryOut: async ({ change }) => {
        seen.carriedOut.push(...names(change));
        return names(change).length;
      },
    });
    followers.push({ log: changeLog, connections });
    return Object.assign(seen, changeLog);
  }

  const redisSecond = async (): Promise<number> => Number((await admin.commands.time())[0]);
  /** Waits for the next second, so that later changes have another one than earlier changes. */
  const nextSecond = async (): Promise<number> => {
    const now = await redisSecond();
    await until('the next second', async () => (await redisSecond()) > now);
    return redisSecond();
  };

  beforeAll(async () => {
    redis = await start();
    admin = await connect();
  });
  beforeEach(async () => {
    await admin.commands.del(KEY);
  });
  afterEach(async () => {
    for (const { log: changeLog, connections } of followers.splice(0)) {
      await changeLog.stop();
      connections.close();
    }
  });
  afterAll(async () => {
    admin?.close();
    await redis?.stop();
  });

  test('one that starts reads what is remembered, is as old as the stream, and follows from there', async () => {
    const first = await follow();
    const id = await first.append(removal('alice'));
    expect(await first.reached(id)).toEqual({ connections: 1 });
    await nextSecond();
    const second = await follow();
    expect([second.remembered, second.bornAt]).toEqual([['alice'], first.bornAt]);
    await Promise.all([first, second].map(async ({ append, reached }) => reached(await append(removal('bob')))));
    await until('both', () => first.carriedOut.length === 3 && second.carriedOut.length === 2);
  });

  test('one that starts after the stream was evicted knows nothing of the time before', async () => {
    const first = await follow();
    await first.reached(await first.append(removal('alice')));
    await nextSecond();
    const lostAt = await redisSecond();
    await admin.commands.del(KEY);
    const second = await follow();
    expect(second.remembered).toEqual([]);
    expect(second.bornAt).toBeGreaterThanOrEqual(lostAt);
  });

  test('one that runs notices that the stream was evicted, although nothing is stored afterwards', async () => {
    const first = await follow();
    await first.reached(await first.append(removal('alice')));
    const lostAt = await nextSecond();
    await admin.commands.del(KEY);
    await until('the loss to be noticed', () => first.bornAt >= lostAt);
    // Changes stored from now on are carried out.
    await first.reached(await first.append(removal('bob')));
    expect(first.carriedOut).toEqual(['alice', 'bob']);
  });

  test('the end of a stream that was restored from before is missed by all who follow, and by one that starts', async () => {
    const [first, second] = [await follow(), await follow()];
    await first.reached(await first.append(removal('alice')));
    const saved = await admin.commands.dumpBuffer(KEY);
    const id = await first.append(removal('bob'));
    await Promise.all([first.reached(id), second.reached(id)]);
    const lostAt = await nextSecond();
    await admin.commands.restore(KEY, 0, saved ?? '', 'REPLACE');
    await until('the loss to be noticed', () => first.bornAt >= lostAt && second.bornAt >= lostAt);
    const late = await follow();
    expect(late.remembered).toEqual(['alice']);
    expect(late.bornAt).toBeGreaterThanOrEqual(lostAt);
  });

  test('… also when more was stored before anybody looked', async () => {
    const first = await follow();
    await first.reached(await first.append(removal('alice')));
    const saved = await admin.commands.dumpBuffer(KEY);
    for (const userId of ['bob', 'carol']) await first.reached(await first.append(removal(userId)));
    const lostAt = await nextSecond();
    // Both are done in one step, so that the follower meets the new end and not the old one.
    const [, fields = []] = (await admin.commands.xrevrange(KEY, '+', '-', 'COUNT', 1))[0] ?? [];
    const bobs = fields.map((value, index) => (fields[index - 1] === 'c' ? String(Number(value) - 1) : value));
    await admin.commands.restore(KEY, 0, saved ?? '', 'REPLACE');
    await admin.commands.xadd(KEY, '*', ...bobs);
    await until('the loss to be noticed', () => first.bornAt >= lostAt);
  });

  test('the stream is bounded: the oldest are dropped, and one that starts knows since when it is complete (G40)', async () => {
    const first = await follow(1_000);
    await first.reached(await first.append(removal('alice')));
    await nextSecond();
    const many = Array.from({ length: 500 }, (_, n) => `made-up-${n}-${'x'.repeat(20)}`);
    for (let n = 0; n < 20; n += 1) await first.append(removal(`${n}`, ...many));
    await until('everything', () => first.carriedOut.length >= 1 + 20 * 501);
    const bytes = Number(await admin.commands.call('MEMORY', 'USAGE', KEY, 'SAMPLES', '0'));
    expect(bytes).toBeLessThan(2 * 1_000 * 80);
    const second = await follow(1_000);
    expect(second.remembered).not.toContain('alice');
    expect(second.remembered.at(-1)).toBe(many.at(-1));
    expect(second.bornAt).toBeGreaterThan(first.bornAt);
  });

  test('a stream of an earlier version, which does not vouch for itself, is read and gone on with', async () => {
    await admin.commands.set('gc:{relays}:changes-since', '1700000000');
    for (const userId of ['alice', 'bob']) await admin.commands.xadd(KEY, '*', 'j', JSON.stringify(removal(userId)));
    const first = await follow();
    expect([first.remembered, first.bornAt]).toEqual([['alice', 'bob'], 1_700_000_000]);
    await first.reached(await first.append(removal('carol')));
    await admin.commands.xadd(KEY, '*', 'j', JSON.stringify(removal('dave')));
    await first.reached(await first.append(removal('erin')));
    expect([first.carriedOut, first.bornAt]).toEqual([['carol', 'dave', 'erin'], 1_700_000_000]);
  });

  test('Redis out of memory stores a removal all the same', async () => {
    const first = await follow();
    const nodes = 'nodes' in redis ? redis.nodes : [redis];
    for (const node of nodes) node.ask('config', 'set', 'maxmemory', '1');
    try {
      await expect(admin.commands.set('{relays}x', '1')).rejects.toThrow('OOM');
      expect(await first.reached(await first.append(removal('alice')))).toEqual({ connections: 1 });
    } finally {
      for (const node of nodes) node.ask('config', 'set', 'maxmemory', '0');
    }
  });
});
