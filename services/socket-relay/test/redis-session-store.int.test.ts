import { type RedisServer, startRedis, startRedisCluster, until } from '@groupcast/testing';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { openRedisSessionStore } from '../src/nodes/redis-session-store.ts';
import type { SessionStore } from '../src/nodes/session-store.ts';
import { connectRedis, type RedisConnections } from '../src/redis/connections.ts';
import type { RedisTarget } from '../src/redis/target.ts';
import type { SessionSource } from '../src/sessions/stored-session.ts';

const EPOCH = '1-a';
const PAGE = { userId: 'alice', dialect: 'group-array', unwanted: [], opened: [], socketIds: ['s'] };

describe('sessions that are kept in Redis', () => {
  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });

  async function serve(): Promise<RedisServer> {
    const redis = await startRedis();
    cleanUps.push(async () => redis.stop());
    return redis;
  }
  const targetOf = ({ url }: RedisServer): RedisTarget => ({ kind: 'server', url, database: 0 });
  async function connect(target: RedisTarget): Promise<RedisConnections> {
    const redis = await connectRedis(target, pino({ level: 'silent' }));
    cleanUps.push(() => redis.close());
    await until('redis', () => redis.isReady());
    return redis;
  }
  /** The store of one process, and its last delivery number. */
  async function openStore(target: RedisTarget, holder: string) {
    const redis = await connect(target);
    const state = { number: 0 };
    const offsets = { prefix: holder, key: `key of ${holder}` };
    const store = openRedisSessionStore({ redis, log: pino({ level: 'silent' }) })(offsets, () => state.number);
    cleanUps.push(async () => store.stop());
    function deliver(groupId: string, seq: number): void {
      state.number += 1;
      store.delivered(groupId, state.number, { epoch: EPOCH, seq });
    }
    return { store, deliver, redis };
  }
  /** A session in these groups; each place is `seq` at the delivery `since`. */
  function sourceOf(groups: Map<string, number>, page: object = PAGE): SessionSource {
    return {
      page: () => ({ ...PAGE, ...page }),
      comeback: () => undefined,
      isOnPage: () => false,
      size: () => groups.size,
      groupIds: () => groups.keys(),
      place(groupId) {
        const seq = groups.get(groupId);
        return seq === undefined ? undefined : { since: 0, noted: 0, position: { epoch: EPOCH, seq } };
      },
    };
  }
  const placesIn = async (store: SessionStore, id = 'session'): Promise<Record<string, number> | undefined> => {
    const { kept: found } = (await store.find(id).catch(() => undefined)) ?? {};
    if (!found) return undefined;
    const places = [...found.session.places].map(([groupId, { position }]) => [groupId, position?.seq ?? 0] as const);
    return Object.fromEntries(places.toSorted());
  };
  const becomes = async (store: SessionStore, places: object): Promise<void> => {
    await until('the copy', async () => JSON.stringify(await placesIn(store)) === JSON.stringify(places));
  };

  test.each<[string, () => Promise<RedisTarget>]>([
    ['one server', async () => targetOf(await serve())],
    [
      'a cluster',
      async () => {
        const cluster = await startRedisCluster();
        cleanUps.push(async () => cluster.stop());
        return { kind: 'cluster', urls: cluster.nodes.map(({ url }) => url) };
      },
    ],
  ])('are found with the last deliveries of their node, as they are now: %s', async (_, start) => {
    const target = await start();
    const [own, other] = [await openStore(target, 'own....'), await openStore(target, 'other..')];
    const groups = new Map([['g', 1]]);
    const copy = own.store.keep('session', sourceOf(groups));
    await becomes(other.store, { g: 1 });
    groups.set('h', 2);
    copy?.moved('h');
    groups.delete('g');
    copy?.moved('g');
    await becomes(other.store, { h: 2 });
    own.deliver('h', 3);
    await until('the delivery', async () => (await other.store.find('session'))?.kept?.last.upTo === 1);
    const { kept: found } = (await other.store.find('session')) ?? {};
    expect(found?.session.page).toEqual(PAGE);
    expect([...(found?.last.of ?? [])]).toEqual([['h', { number: 1, position: { epoch: EPOCH, seq: 3 } }]]);
    expect(found?.last.key).toBe('key of own....');
    // Of its own sessions a process knows more.
    expect(await own.store.find('session')).toEqual({ holder: 'own....' });
  });

  test('are those of another process once that has claimed them, whatever the first one still does', async () => {
    const target = targetOf(await serve());
    const [first, second, reader] = [
      await openStore(target, 'first..'),
      await openStore(target, 'second.'),
      await openStore(target, 'reader.'),
    ];
    const groups = new Map([['g', 1]]);
    const old = first.store.keep('session', sourceOf(groups));
    await becomes(reader.store, { g: 1 });
    second.store.keep('session', sourceOf(new Map([['g', 7]])), 'first..');
    await becomes(reader.store, { g: 7 });
    // It found the session at the first one as well, and comes too late.
    const late = await openStore(target, 'late...');
    late.store.keep('session', sourceOf(new Map([['g', 5]])), 'first..');
    await late.store.stop();
    expect(await placesIn(reader.store)).toEqual({ g: 7 });
    groups.set('h', 2);
    old?.moved('h');
    old?.end();
    await first.store.stop();
    expect(await placesIn(reader.store)).toEqual({ g: 7 });
  });

  test('are written again, whole, when Redis has lost them or was away', async () => {
    const redis = await serve();
    const [own, other] = [await openStore(targetOf(redis), 'own....'), await openStore(targetOf(redis), 'other..')];
    const groups = new Map([['g', 1]]);
    const copy = own.store.keep('session', sourceOf(groups));
    await becomes(other.store, { g: 1 });
    redis.ask('flushall');
    groups.set('h', 2);
    copy?.moved('h');
    own.deliver('g', 1);
    await becomes(other.store, { g: 1, h: 2 });
    await redis.kill();
    await until('the store to be away', () => !own.redis.isReady());
    groups.set('i', 3);
    copy?.moved('i');
    await redis.restart();
    own.deliver('g', 2);
    await becomes(other.store, { g: 1, h: 2, i: 3 });
  });

  test('stay for two minutes when their clients may come back, and say so when they have ended', async () => {
    const redis = await serve();
    const [own, other] = [await openStore(targetOf(redis), 'own....'), await openStore(targetOf(redis), 'other..')];
    const copy = own.store.keep('session', sourceOf(new Map([['g', 1]])));
    copy?.gone();
    await becomes(other.store, { g: 1 });
    expect(Number(redis.ask('ttl', 'gc:session:{session}'))).toBe(120);
    copy?.end();
    await until('the end', async () => (await other.store.find('session'))?.kept === undefined);
    expect(await other.store.find('session')).toEqual({ holder: 'own....' });
    expect(Number(redis.ask('ttl', 'gc:session:{session}'))).toBe(120);
  });

  test('are written again, and last deliveries begin anew, when Redis has lost only the last writes', async () => {
    const redis = await serve();
    const [own, other] = [await openStore(targetOf(redis), 'own....'), await openStore(targetOf(redis), 'other..')];
    const groups = new Map([['g', 1]]);
    const copy = own.store.keep('session', sourceOf(groups));
    own.deliver('g', 2);
    await becomes(other.store, { g: 1 });
    await until('it to be written', () => [...own.store.unwritten().groups].length === 0);
    const keys = ['gc:session:{session}', 'gc:deliveries:{own....}'];
    const before = await Promise.all(keys.map(async (key) => other.redis.commands.dumpBuffer(key)));
    groups.set('h', 2);
    copy?.moved('h');
    own.deliver('h', 3);
    await becomes(other.store, { g: 1, h: 2 });
    await until('it to be written', () => [...own.store.unwritten().groups].length === 0);
    // A replica that had not got them has taken over.
    for (const [index, key] of keys.entries())
      await other.redis.commands.restore(key, 0, before[index] ?? Buffer.alloc(0), 'REPLACE');
    groups.set('i', 3);
    copy?.moved('i');
    own.deliver('i', 4);
    await becomes(other.store, { g: 1, h: 2, i: 3 });
    const { kept } = (await other.store.find('session')) ?? {};
    expect(kept?.last).toMatchObject({ from: 2, upTo: 3 });
    expect([...(kept?.last.of.keys() ?? [])]).toEqual(['i']);
  });

  test('have ended when they are too many', async () => {
    const redis = await serve();
    const [own, other] = [await openStore(targetOf(redis), 'own....'), await openStore(targetOf(redis), 'other..')];
    other.store.keep('session', sourceOf(new Map([['g', 1]])));
    await becomes(own.store, { g: 1 });
    own.store.keep('session', { ...sourceOf(new Map([['g', 1]])), size: () => 200_001 }, 'other..');
    await until('the end', async () => (await other.store.find('session'))?.holder === 'own....');
    expect(await other.store.find('session')).toEqual({ holder: 'own....' });
  });

  test('are sent before the client is told while all of them are written again', async () => {
    const redis = await serve();
    const own = await openStore(targetOf(redis), 'own....');
    const groups = new Map([['g', 1]]);
    const copy = own.store.keep('session', sourceOf(groups));
    await until('the copy', () => redis.ask('exists', 'gc:session:{session}') === '1');
    own.redis.commands.emit('ready');
    groups.set('h', 2);
    copy?.moved('h');
    copy?.write();
    expect((own.redis.commands as Redis).stream.writableCorked).toBe(0);
    expect(redis.ask('hexists', 'gc:session:{session}', 'gh')).toBe('1');
  });

  test('are sent before the client is told, whenever in the turn they changed', async () => {
    const redis = await serve();
    const own = await openStore(targetOf(redis), 'own....');
    const groups = new Map([['g', 1]]);
    const copy = own.store.keep('session', sourceOf(groups));
    await until('the copy', () => redis.ask('exists', 'gc:session:{session}') === '1');
    const corked = (): number => (own.redis.commands as Redis).stream.writableCorked;
    copy?.moved('g');
    copy?.write();
    expect(corked()).toBe(0);
    copy?.moved('g');
    await Promise.resolve();
    expect(corked()).toBe(1);
    copy?.write();
    expect(corked()).toBe(0);
  });

  test('are not written from a connection that went while Redis was away', async () => {
    const redis = await serve();
    const [own, other] = [await openStore(targetOf(redis), 'own....'), await openStore(targetOf(redis), 'other..')];
    const groups = new Map([['g', 1]]);
    const copy = own.store.keep('session', sourceOf(groups));
    await becomes(other.store, { g: 1 });
    redis.pause();
    await until('the store to be away', () => !own.redis.isReady(), 20_000);
    copy?.gone();
    // Its rooms are gone, and what the node knew of the group.
    groups.clear();
    redis.resume();
    await until('the copy to have ended', () => redis.ask('hexists', 'gc:session:{session}', 'page') === '0');
  });

  test('a delivery is not said to be written before it is, and not after', async () => {
    const redis = await serve();
    const own = await openStore(targetOf(redis), 'own....');
    own.deliver('before', 1);
    own.store.keep('session', sourceOf(new Map([['g', 1]])));
    expect([...own.store.unwritten().groups]).toEqual([]);
    own.deliver('g', 2);
    own.deliver('h', 1);
    own.deliver('g', 3);
    const unwritten = [...own.store.unwritten().groups];
    expect(unwritten.map(([groupId, position]) => [groupId, position?.seq])).toEqual([
      ['g', 3],
      ['h', 1],
    ]);
    await until('all to be written', () => [...own.store.unwritten().groups].length === 0);
    expect(redis.ask('hget', 'gc:deliveries:{own....}', 'upTo')).toBe('4');
    expect(redis.ask('hget', 'gc:deliveries:{own....}', 'from')).toBe('1');
  });

  test('last deliveries that Redis has lost begin anew, and say from where', async () => {
    const redis = await serve();
    const own = await openStore(targetOf(redis), 'own....');
    own.store.keep('session', sourceOf(new Map([['g', 1]])));
    own.deliver('g', 2);
    await until('it to be written', () => [...own.store.unwritten().groups].length === 0);
    redis.ask('flushall');
    own.deliver('h', 1);
    await until('it to be written', () => [...own.store.unwritten().groups].length === 0);
    const key = 'gc:deliveries:{own....}';
    expect(['from', 'upTo', 'gg', 'gh'].map((field) => redis.ask('hget', key, field))).toEqual([
      '1',
      '2',
      '',
      JSON.stringify([2, EPOCH, 1]),
    ]);
  });
});
