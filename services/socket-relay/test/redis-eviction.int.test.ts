import { type RedisCluster, type RedisServer, startRedis, startRedisCluster, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GroupLog } from '../src/group-log/group-log.ts';
import { createRedisGroupLog } from '../src/group-log/redis-group-log.ts';
import { createRedisDeployment } from '../src/nodes/redis-deployment.ts';
import { createRedisLeases } from '../src/nodes/redis-leases.ts';
import { createRedisPresenceStore } from '../src/presence/redis-presence-store.ts';
import { connectRedis, type RedisConnections } from '../src/redis/connections.ts';
import { createRedisNames } from '../src/redis/names.ts';
import { parseRedisUrl } from '../src/redis/target.ts';

const log = pino({ level: 'silent' });
const redisNames = createRedisNames();
const { groupKey } = redisNames;

/** Eviction takes any one key at a time. For a reader of the key a deletion is the same. */
describe.each([
  ['Redis', async (): Promise<RedisServer> => startRedis()],
  ['a Redis Cluster of three nodes', async (): Promise<RedisCluster> => startRedisCluster()],
])('keys that %s may evict', (_name, start) => {
  let redis: RedisServer | RedisCluster;
  let connections: RedisConnections;
  let groups = 0;

  beforeAll(async () => {
    redis = await start();
    const target = parseRedisUrl(redis.url);
    if (!target) throw new Error(`${redis.url} is no redis url`);
    connections = await connectRedis(target, log);
    await until('redis', connections.isReady);
  });
  afterAll(async () => {
    connections?.close();
    await redis?.stop();
  });

  function openLog(): {
    groupLog: GroupLog;
    groupId: string;
    append: (id: string, seq: number, event?: object) => Promise<string>;
  } {
    groups += 1;
    const groupId = `evicted${groups}`;
    const options = { size: 100, bytes: 100_000, ttlMs: 60_000, seen: () => null };
    const groupLog = createRedisGroupLog({ redis: connections.commands, names: redisNames, node: 'n1', ...options });
    return {
      groupLog,
      groupId,
      async append(id, seq, event = {}) {
        const input = { groupId, id, event: 'new-message', message: { content: `words of ${id}` }, ...event };
        return (await groupLog.append({ ...input, position: { epoch: '1-a', seq } })).outcome;
      },
    };
  }
  const keys = (groupId: string) =>
    connections.commands.exists(...['log', 'ids', 'about'].map((name) => `${groupKey(groupId)}:${name}`));

  test.each(['log', 'ids', 'about'])(
    'of a group log without its %s nothing is left but where the group stands, and no word',
    async (part) => {
      const { groupLog, groupId, append } = openLog();
      await append('m1', 1);
      await append('e1', 2, { event: 'message-updated', message: { messageId: 'm1', content: 'other words' } });
      await connections.commands.del(`${groupKey(groupId)}:${part}`);
      const page = await groupLog.read(groupId, 0, 10);
      expect([page.head, page.floor, page.events]).toEqual([{ epoch: '1-a', seq: 2 }, 2, []]);
      // The deletion of a message leaves no words of it, wherever they were.
      expect(await append('d1', 3, { event: 'message-deleted', message: { messageId: 'm1' } })).toBe('appended');
      expect((await groupLog.read(groupId, 0, 10)).events.map(({ seq }) => seq)).toEqual([3]);
      const rest = await connections.commands.hgetall(`${groupKey(groupId)}:log`);
      expect(JSON.stringify(rest)).not.toContain('words');
      // An event that is sent again is still one.
      expect([await append('m1', 1), await append('d1', 3)]).toEqual(['duplicate', 'duplicate']);
      expect(await append('m2', 4)).toBe('appended');
      expect((await groupLog.read(groupId, 2, 10)).events).toHaveLength(2);
    },
  );

  test('a group log without its state begins with whichever event comes, and has nothing from before', async () => {
    const { groupLog, groupId, append } = openLog();
    for (const seq of [1, 2, 3]) await append(`m${seq}`, seq);
    await connections.commands.del(`${groupKey(groupId)}:state`);
    expect(await groupLog.head(groupId)).toBeNull();
    expect(await append('m4', 4)).toBe('appended');
    const page = await groupLog.read(groupId, 0, 10);
    expect([page.floor, page.events.map(({ seq }) => seq)]).toEqual([3, [4]]);
  });

  test('a log without edits and deletions needs no index of them', async () => {
    const { groupLog, groupId, append } = openLog();
    for (const seq of [1, 2, 3]) await append(`m${seq}`, seq);
    expect(await keys(groupId)).toBe(2);
    expect((await groupLog.read(groupId, 0, 10)).events).toHaveLength(3);
  });

  test('the members of a group are told again', async () => {
    const leases = { nodes: async () => ['here', 'there'], onNodes: () => undefined, onChange: () => undefined };
    const deps = { redis: connections, leases, log, checkMs: 50 };
    const [here, there] = ['here', 'there'].map((node) => createRedisPresenceStore({ ...deps, node }));
    try {
      here?.set('present', 'alice', 1);
      here?.set('present', 'bob', 2);
      const names = async () => [...((await there?.read('present')) ?? [])].toString();
      await until('both', async () => (await names()) === 'alice,1,bob,2');
      await connections.commands.del(`${groupKey('present')}:presence`);
      await until('both again', async () => (await names()) === 'alice,1,bob,2');
    } finally {
      await here?.stop();
      await there?.stop();
    }
  });

  test('a lease whose list is gone is known to be new, so that others are still counted on', async () => {
    const { commands: redisCommands } = connections;
    const secrets = { secret: 'a secret', previousSecret: undefined };
    const renew = createRedisLeases(
      redisCommands,
      createRedisDeployment({ redis: redisCommands, names: redisNames, node: 'one', secrets }),
      'one',
    );
    await renew('one', 10_000, false);
    expect(await renew('one', 10_000, false)).toMatchObject({ nodes: ['one'], wasKnown: true });
    await connections.commands.del('gc:{relays}:leases');
    expect(await renew('one', 10_000, false)).toMatchObject({ nodes: ['one'], wasKnown: false });
  });

  test('the newest canary counts of another machine, of nodes that have a lease', async () => {
    const { commands: redisCommands } = connections;
    await redisCommands.del('gc:{relays}:leases');
    const secrets = { secret: 'a secret', previousSecret: undefined };
    const renewOn = (machine: string, node: string) => {
      const deployment = createRedisDeployment({ redis: redisCommands, names: redisNames, node, secrets });
      const renew = createRedisLeases(redisCommands, deployment, machine);
      return async (canaryAgeMs?: number, ms = 10_000) => (await renew(node, ms, false, canaryAgeMs)).canaryAgeMs;
    };
    const [first, worker] = [renewOn('m1', 'first'), renewOn('m1', 'worker')];
    const [other, third] = [renewOn('m2', 'other'), renewOn('m3', 'third')];
    expect([await first(0), await worker(0), await first(0)]).toEqual([undefined, undefined, undefined]);
    const seen = await other(20_000);
    expect([seen, (seen ?? -1) >= 0, (seen ?? 20_000) < 20_000]).toEqual([seen, true, true]);
    expect(await first(0)).toBeGreaterThanOrEqual(20_000);
    await third(5_000);
    const newest = (await worker()) ?? 0;
    expect([newest >= 5_000, newest < 20_000]).toEqual([true, true]);
    // It fails now, or it has gone.
    await third();
    expect(await first(0)).toBeGreaterThanOrEqual(20_000);
    await other(20_000, 0);
    expect(await first(0)).toBeUndefined();
    // A relay of an earlier version has a lease, and says nothing of canaries.
    await other(20_000);
    await redisCommands.del('gc:{relays}:leases');
    expect(await first(0)).toBeUndefined();
  });

  test('marks of deployments are written again, and a renewal finds those of strangers', async () => {
    const { commands: redisCommands } = connections;
    await redisCommands.del('gc:{relays}:leases');
    await redisCommands.del('gc:{relays}:deployments');
    const open = (node: string, secret: string, previousSecret?: string) => {
      const deployment = createRedisDeployment({
        redis: redisCommands,
        names: redisNames,
        node,
        secrets: { secret, previousSecret },
      });
      const renew = createRedisLeases(redisCommands, deployment, node);
      return { enter: async () => deployment.enter(10_000), renew: async (ms = 10_000) => renew(node, ms, false) };
    };
    const [old, changing, other] = [open('old', 'a'), open('changing', 'b', 'a'), open('other', 'c')];
    await old.enter();
    await old.renew();
    await expect(other.enter()).rejects.toThrow('old');
    await redisCommands.del('gc:{relays}:deployments');
    await other.enter();
    expect(await old.renew()).toMatchObject({ strangers: ['other'] });
    expect(await other.renew()).toMatchObject({ strangers: ['old'] });
    expect(await changing.renew()).toMatchObject({ strangers: ['other'] });
    await other.renew(0);
    expect(await old.renew()).toMatchObject({ strangers: [], nodes: ['changing', 'old'] });
    expect(await changing.renew()).toMatchObject({ strangers: [] });
  });
});
