import { type AddressInfo, createServer, type Socket as NetSocket, type Server } from 'node:net';
import {
  type RedisSentinel,
  type RedisServer,
  received,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  startTcpProxy,
  type TcpProxy,
  TEST_SECRETS,
  until,
} from '@groupcast/testing';
import { pino } from 'pino';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readRelayConfig } from '../src/config.ts';
import { connectRedis } from '../src/redis/connections.ts';
import { parseRedisUrl, type RedisTarget } from '../src/redis/target.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

/** Long enough that no lease ends in a test of something else. */
const LONG_LEASE = { NODE_LEASE_SECONDS: '120' };

/** Redis sends a replica the missing data as soon as it asks. */
const AT_ONCE = ['--repl-diskless-sync-delay', '0'];

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function redisServer(settings: readonly string[] = []): Promise<RedisServer> {
  const redis = await startRedis(settings);
  cleanups.push(redis.stop);
  return redis;
}
async function tcpProxy(port: number, host?: string): Promise<TcpProxy> {
  const proxy = await startTcpProxy(port, host);
  cleanups.push(proxy.close);
  return proxy;
}
async function relayOn(
  url: string,
  env: Readonly<Record<string, string>> = {},
  overrides: { leaseMs?: number } = {},
): Promise<RelayUnderTest> {
  const relay = await startRelayUnderTest({ REDIS_URL: url, ...env }, overrides);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => (closing ??= relay.close());
  cleanups.push(close);
  return { ...relay, close };
}
const isReady = async (relay: RelayUnderTest): Promise<boolean> => (await fetch(`${relay.internalUrl}/readyz`)).ok;
const broadcastTo = async (relay: RelayUnderTest, id: string, groupId = 'g') =>
  relay.broadcaster.broadcastMessage({ groupId, id, message: { content: id } });
/** Ids of the messages that the connection is shown. */
function shown(socket: Socket): string[] {
  const ids: string[] = [];
  socket.on('new-message', ({ id }: { id: string }) => ids.push(id));
  return ids;
}

describe('a master that has moved while the connections to it stay open', () => {
  test.each([
    [
      'as a replica that takes no writes (READONLY)',
      async (old: RedisServer, master: RedisServer) => {
        old.ask('replicaof', '127.0.0.1', String(master.port));
      },
    ],
    [
      'as a replica that answers nothing (MASTERDOWN)',
      async (old: RedisServer) => {
        old.ask('config', 'set', 'replica-serve-stale-data', 'no');
        // Nobody is there.
        old.ask('replicaof', '127.0.0.1', '1');
      },
    ],
  ])('is left for the one that took its place, %s (G57)', async (_, demote) => {
    const [old, master] = [await redisServer(AT_ONCE), await redisServer(AT_ONCE)];
    const proxy = await tcpProxy(old.port);
    const relay = await relayOn(`redis://127.0.0.1:${proxy.port}`, LONG_LEASE);
    const alice = await relay.member('alice', ['g']);
    const ids = shown(alice);
    await broadcastTo(relay, 'before');
    master.ask('replicaof', '127.0.0.1', String(old.port));
    await until('the replica', () => master.ask('info', 'replication').includes('master_link_status:up'));
    master.ask('replicaof', 'no', 'one');
    await demote(old, master);
    proxy.leadTo(master.port);

    await until('a broadcast', async () => broadcastTo(relay, 'after'));
    // The connections that wait for changes, and that listen, have to be there as well.
    await until('a removal', async () => {
      await relay.broadcaster.removeMembers({ groupId: 'g', userIds: ['nobody'] });
      return true;
    });
    await until('both', () => ids.length === 2);
    expect(ids).toEqual(['before', 'after']);
    await until('ready', async () => isReady(relay));
    expect(alice.connected).toBe(true);
    const said = relay.logged.filter(({ level }) => level >= 40).map(({ msg }) => msg);
    expect(said).toContain('redis takes no writes where this relay is connected; looking for the master again');
    expect(relay.logged.map(({ msg }) => msg)).toContain('redis is back');
  });
});

describe('the health of Redis', () => {
  test('is that it takes writes: one that answers and takes none makes the relay unready, until it does (G57)', async () => {
    const redis = await redisServer();
    const relay = await relayOn(redis.url, LONG_LEASE);
    expect(await isReady(relay)).toBe(true);
    redis.ask('config', 'set', 'min-replicas-to-write', '1');
    await until('unready', async () => !(await isReady(relay)));
    expect(relay.logged.map(({ msg }) => msg)).toContain('redis takes no writes');
    redis.ask('config', 'set', 'min-replicas-to-write', '0');
    await until('ready', async () => isReady(relay));
  });

  test('is not that connections open: one to a server that says nothing is given up, whatever it was for (G57)', async () => {
    const redis = await redisServer();
    const proxy = await tcpProxy(redis.port);
    const relay = await relayOn(`redis://127.0.0.1:${proxy.port}`, LONG_LEASE);
    const connections = () => redis.ask('client', 'list').split('\n').length;
    const all = connections();
    proxy.swallowAnswers();
    redis.ask('client', 'kill', 'skipme', 'yes');
    await until('all of them to be there again', () => connections() === all);
    // They have asked, and their answers are lost.
    proxy.passAnswers();
    await until('a removal', async () => {
      await relay.broadcaster.removeMembers({ groupId: 'g', userIds: ['nobody'] });
      return true;
    });
  });
});

describe('one node of a cluster that reads its data (LOADING)', () => {
  const LOADING = "return redis.error_reply('LOADING Redis is loading the dataset in memory')";

  test('fails what is asked of it, and costs the relay no connection to the others', async () => {
    const cluster = await startRedisCluster();
    cleanups.push(cluster.stop);
    const logged: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
    const redis = await connectRedis(parseRedisUrl(cluster.url) as RedisTarget, log);
    cleanups.push(async () => redis.close());
    const { commands, subscriber, blocking } = redis;
    await until('redis', () => redis.isReady() && [subscriber, blocking].every(({ status }) => status === 'ready'));
    const lost: string[] = [];
    for (const client of [commands, subscriber, blocking]) client.on('close', () => lost.push('a connection'));
    for (const client of [commands, blocking]) {
      await expect(client.eval(LOADING, 1, 'k')).rejects.toThrow('LOADING');
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
    expect(await commands.set('k', 'v')).toBe('OK');
    expect(await blocking.get('k')).toBe('v');
    expect([lost, logged.filter((line) => line.includes('looking for the master again'))]).toEqual([[], []]);
  });
});

describe('sentinels', () => {
  let sentinel: RedisSentinel;
  let port = 0;
  beforeAll(async () => {
    sentinel = await startRedisSentinel();
    port = Number(/:(\d+)\//.exec(sentinel.url)?.[1]);
  });
  afterAll(async () => {
    await sentinel?.stop();
  });

  test('that answer are found past one that says nothing', async () => {
    const asked: NetSocket[] = [];
    const silent: Server = createServer((socket) => {
      asked.push(socket.on('error', () => undefined));
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    cleanups.push(async () => {
      for (const socket of asked) socket.destroy();
      await new Promise((resolve) => silent.close(resolve));
    });
    const first = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    await broadcastTo(await relayOn(`redis+sentinel://${first},127.0.0.1:${port}/groupcast`), 'm1');
    expect(asked.length).toBeGreaterThan(0);
  });

  test('may be named by IPv6 addresses', async () => {
    const proxy = await tcpProxy(port, '::1');
    await broadcastTo(await relayOn(`redis+sentinel://[::1]:${proxy.port}/groupcast`), 'm1');
  });
});

describe('two deployments on one Redis', () => {
  const OTHERS = { RELAY_SERVICE_SECRET: 'service-tokens-of-somebody-else-0123456789' };

  /** A broadcast by the deployment itself, whose secret the harness's broadcaster does not know. */
  async function publish(relay: RelayUnderTest, secret: string): Promise<{ connections: number; nodes: number }> {
    const { createBroadcaster } = await import('@groupcast/broadcaster');
    const broadcaster = createBroadcaster({ url: relay.url, serviceSecret: secret, timeoutMs: 5_000 });
    try {
      return (await broadcaster.broadcastMessage({ groupId: 'g', id: 'm1', message: {} })).recipients;
    } finally {
      await broadcaster.close();
    }
  }

  test.each([
    ['in two databases', '/1', {}],
    ['under two prefixes', '', { REDIS_PREFIX: 'staging' }],
  ])('%s share nothing (G58)', async (_, database, env) => {
    const redis = await redisServer();
    const production = await relayOn(redis.url);
    const staging = await relayOn(`${redis.url}${database}`, { ...OTHERS, ...env });
    const [ours, theirs] = [await production.member('alice', ['g']), await staging.member('alice', ['g'])];
    const [atOurs, atTheirs] = [shown(ours), shown(theirs)];
    expect(await publish(production, TEST_SECRETS.RELAY_SERVICE_SECRET)).toEqual({ connections: 1, nodes: 1 });
    await until('the event', () => atOurs.length === 1);
    // The same group, id and position are another message there.
    expect(await publish(staging, OTHERS.RELAY_SERVICE_SECRET)).toEqual({ connections: 1, nodes: 1 });
    await until('their event', () => atTheirs.length === 1);
    const left: string[] = [];
    theirs.on('left-groups', ({ reason }: { reason: string }) => left.push(reason));
    await production.broadcaster.removeMembers({ groupId: 'g', userIds: ['alice'] });
    await publish(staging, OTHERS.RELAY_SERVICE_SECRET);
    expect([atOurs, atTheirs, left]).toEqual([['m1'], ['m1'], []]);
  });

  test('under one prefix are refused: the second one does not start, says why, and disturbs nobody (G58)', async () => {
    const redis = await redisServer();
    const running = await relayOn(redis.url);
    const alice = await running.member('alice', ['g']);
    const started = relayOn(redis.url, OTHERS);
    await expect(started).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(/REDIS_PREFIX "gc" in database 0 .*RELAY_SERVICE_SECRET/),
    });
    await expect(started).rejects.not.toMatchObject({ message: expect.stringContaining(OTHERS.RELAY_SERVICE_SECRET) });
    // It waits for nobody who is not there.
    const left = received(alice, 'left-groups');
    await running.broadcaster.removeMembers({ groupId: 'g', userIds: ['alice'] });
    await left;
    expect(redis.ask('zcard', 'gc:{relays}:leases')).toBe('1');
  });

  /** The states of the relay that the connection is told, and the events that it gets. */
  function told(socket: Socket): string[] {
    const heard: string[] = [];
    socket.on('new-message', ({ id }: { id: string }) => heard.push(id));
    socket.on('service-state', ({ live }: { live: boolean }) => heard.push(`live ${live}`));
    return heard;
  }
  const failing = async (relay: RelayUnderTest): Promise<string[]> => {
    const response = await fetch(`${relay.internalUrl}/readyz`);
    return ((await response.json()) as { failing?: string[] }).failing ?? [];
  };
  /** So that a test need not wait for renewals. */
  const SHORT = { leaseMs: 2_000 };
  const errorsOf = (relay: RelayUnderTest) =>
    relay.logged.filter(({ level, msg }) => level === 50 && /REDIS_PREFIX.*RELAY_SERVICE_SECRET_PREVIOUS/.test(msg));

  test.each([
    ['at once, where no renewal is due', 60_000],
    ['with a short lease', SHORT.leaseMs],
  ])(
    'that a Redis without its memory has let start under one prefix hand each other nothing, %s, until one is stopped (G58)',
    async (_, leaseMs) => {
      const redis = await redisServer();
      const ours = await relayOn(redis.url, {}, { leaseMs });
      const alice = told(await ours.member('alice', ['g']));
      // The one that is there may renew its lease before the other one has looked.
      const theirs = await until('the other one to start unseen', async () => {
        redis.ask('flushall');
        return relayOn(redis.url, OTHERS, { leaseMs });
      });
      await until('her to be told', () => alice.at(-1) === 'live false');
      await until('both to say why', async () =>
        (await Promise.all([ours, theirs].map(failing))).every((parts) => parts.join() === 'deployment'),
      );
      await expect(publish(theirs, OTHERS.RELAY_SERVICE_SECRET)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
      await expect(broadcastTo(ours, 'm2')).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
      expect([errorsOf(ours).length, errorsOf(theirs).length]).toEqual([1, 1]);
      // One more gives way, as ever.
      await expect(relayOn(redis.url, OTHERS)).rejects.toMatchObject({ name: 'ConfigurationError' });
      await theirs.close();
      if (leaseMs > SHORT.leaseMs) return;
      await until('her to be told again', () => alice.at(-1) === 'live true');
      await broadcastTo(ours, 'm3');
      await until('what is live', () => alice.at(-1) === 'm3');
      expect(alice).toEqual(['live false', 'live true', 'm3']);
      expect(await failing(ours)).toEqual([]);
    },
  );

  test('are noticed by a renewal too, from either side; a mark of its own that is gone is written again', async () => {
    const redis = await redisServer();
    const relay = await relayOn(redis.url, {}, SHORT);
    const alice = told(await relay.member('alice', ['g']));
    const KEY = 'gc:{relays}:deployments';
    redis.ask('zadd', KEY, String(Date.now() + 60_000), 'stranger 0123456789abcdef');
    await until('her to be told', () => alice.at(-1) === 'live false');
    redis.ask('del', KEY);
    await until('her to be told again', () => alice.at(-1) === 'live true');
    redis.ask('del', KEY);
    await until('the mark', () => redis.ask('zcard', KEY) === '1');
    await expect(relayOn(redis.url, OTHERS)).rejects.toMatchObject({ name: 'ConfigurationError' });
    expect(alice).toEqual(['live false', 'live true']);
  });

  test('are one while a secret is being changed although Redis loses its memory, and stay live', async () => {
    const redis = await redisServer();
    const both = { ...OTHERS, RELAY_SERVICE_SECRET_PREVIOUS: TEST_SECRETS.RELAY_SERVICE_SECRET };
    const [old, next] = [await relayOn(redis.url, {}, SHORT), await relayOn(redis.url, both, SHORT)];
    const alice = told(await old.member('alice', ['g']));
    redis.ask('flushall');
    await until('both marks', () => redis.ask('zcard', 'gc:{relays}:deployments') === '2');
    await until('a message', async () => publish(next, OTHERS.RELAY_SERVICE_SECRET));
    await until('the message', () => alice.length > 0);
    expect([alice, await failing(old), await failing(next)]).toEqual([['m1'], [], []]);
  });

  test('are one while a secret is being changed, one relay after the other', async () => {
    const redis = await redisServer();
    const NEXT = OTHERS;
    const both = { ...NEXT, RELAY_SERVICE_SECRET_PREVIOUS: TEST_SECRETS.RELAY_SERVICE_SECRET };
    const first = await startRelayUnderTest({ REDIS_URL: redis.url });
    await relayOn(redis.url, both);
    // The old ones are still there.
    await expect(relayOn(redis.url, NEXT)).rejects.toMatchObject({ name: 'ConfigurationError' });
    await first.close();
    await relayOn(redis.url, NEXT);
    await expect(relayOn(redis.url)).rejects.toMatchObject({ name: 'ConfigurationError' });
  });
});

describe('REDIS_URL', () => {
  const problemsOf = (url: string, env: object = {}): string => {
    try {
      readRelayConfig({ ...TEST_SECRETS, API_URL: '', REDIS_URL: url, ...env });
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test.each([
    ['a server', 'redis://:100%sure@localhost:6379', /REDIS_URL has a % that begins no escape/],
    ['a list', 'redis://a:1,redis://:100%sure@b:2', /REDIS_URL has a % that begins no escape/],
    ['sentinels', 'redis+sentinel://:100%sure@a:26379/master', /REDIS_URL has a % that begins no escape/],
    ['a server', 'redis://me:1#23sure@localhost', /REDIS_URL has a #/],
    ['a server', 'redis://localhost/first', /REDIS_URL must end in the number of a database/],
    ['a list', 'redis://a:1/1,redis://b:2/1', /REDIS_URL must not name a database in a list/],
    ['sentinels', 'redis+sentinel://a:99999/master', /REDIS_URL must be/],
  ])('of %s that cannot be read is named, and not shown: %s', (_, url, problem) => {
    expect(problemsOf(url)).toMatch(problem);
    expect(problemsOf(url)).not.toContain('sure');
  });

  test.each(['a b', 'a{b}', 'gc@1', 'x'.repeat(65)])('REDIS_PREFIX %j is refused', (prefix) => {
    expect(problemsOf('redis://localhost', { REDIS_PREFIX: prefix })).toMatch(/REDIS_PREFIX must be/);
  });

  test.each([
    [
      'redis+sentinel://[::1]:26379,[fe80::2],c/m',
      {
        sentinels: [
          { host: '::1', port: 26379 },
          { host: 'fe80::2', port: 26379 },
          { host: 'c', port: 26379 },
        ],
      },
    ],
    ['redis+sentinel://:p%40ss@[::1]/m', { password: 'p@ss', sentinels: [{ host: '::1', port: 26379 }] }],
    ['redis://[::1]:6380/3', { kind: 'server', database: 3 }],
    ['redis://[::1]:6380?db=4', { kind: 'server', database: 4 }],
  ])('%s is read', (url, target) => {
    expect(parseRedisUrl(url)).toMatchObject(target);
  });

  test('of a cluster by IPv6 addresses, and by the address of one node, leads to all of it', async () => {
    const cluster = await startRedisCluster();
    cleanups.push(cluster.stop);
    const proxies = await Promise.all(cluster.nodes.map(async ({ port }) => tcpProxy(port, '::1')));
    const relays = [
      await relayOn(proxies.map(({ port }) => `redis://[::1]:${port}`).join(',')),
      await relayOn(cluster.nodes[1]?.url ?? ''),
    ];
    const groups = ['a', 'b', 'c', 'd', 'e', 'f'];
    const member = await relays[1]?.member('alice', groups);
    const ids = shown(member as Socket);
    for (const groupId of groups) {
      const { recipients } = await broadcastTo(relays[0] as RelayUnderTest, `m-${groupId}`, groupId);
      expect(recipients.nodes).toBe(1);
    }
    await until('all', () => ids.length === groups.length);
    await expect(relayOn(`${cluster.nodes[0]?.url}/1`)).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringContaining('a Redis Cluster, which has only database 0'),
    });
  });
});
