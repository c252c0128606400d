import { once } from 'node:events';
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import {
  type RedisServer,
  received,
  startBalancer,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { Redis } from 'ioredis';
import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FRESH, faultsOf, type Page, watchPage } from './recovery-page.ts';

/** More rounds find rarer moments: `RELAY_DEATHS=100`. */
const DEATHS = Number(process.env['RELAY_DEATHS'] ?? 3);
const GROUPS = ['g', 'h', 'i'];

type RelayProcess = Awaited<ReturnType<typeof startRelayProcess>>;

describe('a stock client whose relay dies', () => {
  const cleanUps: (() => unknown)[] = [];
  const atLast: (() => unknown)[] = [];
  let redis: RedisServer;
  /** The relay that lives: broadcasts go there. */
  let other: RelayProcess;
  let broadcast: Broadcaster['broadcastMessage'];
  let tests = 0;
  beforeAll(async () => {
    redis = await startRedis();
    atLast.push(async () => redis.stop());
    other = await startRelay(redis.url, atLast);
    broadcast = broadcasterTo(other, atLast).broadcastMessage;
  });
  beforeEach(() => {
    tests += 1;
  });
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });
  afterAll(async () => {
    for (const cleanUp of atLast.toReversed()) await cleanUp();
  });
  /** A group of this test. */
  const idOf = (name: string): string => `${tests}.${name}`;
  const nameOf = (groupId: string): string => groupId.replace(/^\d+\./, '');

  async function startRelay(redisUrl = redis.url, into = cleanUps): Promise<RelayProcess> {
    const relay = await startRelayProcess({
      REDIS_URL: redisUrl,
      RELAY_DIALECT: 'group-array',
      NODE_LEASE_SECONDS: '3',
      SHUTDOWN_DRAIN_SECONDS: '0',
    });
    into.push(async () => relay.stop());
    return relay;
  }
  async function kill({ child }: RelayProcess): Promise<void> {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  function broadcasterTo(relay: RelayProcess, into = cleanUps): Broadcaster {
    const broadcaster = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
    into.push(async () => broadcaster.close());
    return broadcaster;
  }
  async function openPage(port: number, groups: readonly string[] = GROUPS): Promise<Page> {
    const socket = io(`http://127.0.0.1:${port}`, {
      forceNew: true,
      transports: ['websocket'],
      auth: { token: await tokenFor('alice', groups.map(idOf)) },
      reconnectionDelay: 20,
      reconnectionDelayMax: 100,
    });
    cleanUps.push(() => void socket.close());
    const page = watchPage(socket, nameOf);
    await received(socket, 'joined-groups');
    return page;
  }

  const say = async (name: string, text: string): Promise<unknown> =>
    broadcast({ groupId: idOf(name), message: { text } });
  /** A relay for this test; pages go there while it is there, and then to the other. */
  async function startOne() {
    const one = await startRelay();
    const balancer = await startBalancer(() => [one.port, other.port]);
    cleanUps.push(async () => balancer.close());
    return { one, balancer };
  }
  const isBack = async (page: Page): Promise<unknown> =>
    until('the page to be back', () => page.recovered.length === 2 && page.greetings >= 2);

  test('goes on at another relay with everything that it has missed, once and in order (G92)', async () => {
    const { one, balancer } = await startOne();
    const page = await openPage(balancer.port, [...GROUPS, 'quiet', 'empty']);
    await say('quiet', '1');
    for (const groupId of GROUPS) await say(groupId, '1');
    await until('the first', () => page.texts.length === 5);
    page.socket.io.reconnection(false);
    await kill(one);
    for (const groupId of GROUPS) for (const text of ['2', '3']) await say(groupId, text);
    await say('empty', '1');
    page.socket.io.reconnection(true);
    page.socket.connect();
    await isBack(page);
    expect(page.recovered).toEqual([false, true]);
    for (const groupId of GROUPS) await say(groupId, '4');
    await until('the last', () => GROUPS.every((groupId) => page.texts.includes(`${groupId}: 4`)));
    for (const groupId of GROUPS) {
      const texts = page.texts.filter((text) => text.startsWith(`${groupId}:`));
      expect(texts).toEqual(['1', '2', '3', '4'].map((text) => `${groupId}: ${text}`));
    }
    expect(page.texts.filter((text) => /^(?:quiet|empty)/.test(text))).toEqual(['quiet: 1', 'empty: 1']);
  });

  test('misses nothing and gets nothing twice where it is said to go on, whenever its relay dies (G92)', async () => {
    let relays = [await startRelay(), await startRelay()];
    const balancer = await startBalancer(() => relays.map(({ port }) => port));
    cleanUps.push(async () => balancer.close());
    const pages = [await openPage(balancer.port), await openPage(balancer.port, ['g']), await openPage(balancer.port)];
    let isOver = false;
    let count = 0;
    const publishing = (async () => {
      while (!isOver) {
        count += 1;
        const text = String(count);
        await Promise.all(GROUPS.map(async (groupId) => say(groupId, text)));
      }
    })();
    for (let death = 1; death <= DEATHS; death += 1) {
      const [victim, ...rest] = relays;
      const next = startRelay();
      const before = pages.map(({ texts }) => texts.length);
      // Some messages later, at no moment in particular.
      await until('messages', () => pages.every(({ texts }, n) => texts.length > (before[n] ?? 0) + death * 3));
      if (victim) await kill(victim);
      relays = [...rest, await next];
      await until('everybody to be back', () =>
        pages.every(({ socket, recovered }) => socket.connected && recovered.length > death),
      );
    }
    isOver = true;
    await publishing;
    const last = String(count + 1);
    await Promise.all(GROUPS.map(async (groupId) => say(groupId, last)));
    await until('the last', () => pages.every(({ texts }) => texts.includes(`g: ${last}`)), 20_000);
    for (const { texts } of pages) for (const groupId of GROUPS) expect(faultsOf(texts, groupId)).toEqual([]);
    // With one group a page always can, and with several nearly always.
    expect(pages[1]?.recovered).toEqual([false, ...Array.from({ length: DEATHS }, () => true)]);
  }, 300_000);

  test('goes on after it had come back to the same relay before, and as itself when it had read nothing since', async () => {
    const { one, balancer } = await startOne();
    const page = await openPage(balancer.port, ['g', 'h']);
    await say('g', '1');
    await until('the first', () => page.texts.includes('g: 1'));
    page.socket.io.engine.close();
    await isBack(page);
    await kill(one);
    await say('h', '1');
    await until('the page to be back', () => page.recovered.length === 3);
    await say('g', '2');
    await until('the last', () => ['h: 1', 'g: 2'].every((text) => page.texts.includes(text)));
    expect(page.recovered).toEqual([false, true, true]);
    for (const groupId of ['g', 'h']) expect(faultsOf(page.texts, groupId)).toEqual([]);
  });

  test.each(['join-group', 'leave-group'])(
    'is in the groups that it had just joined, and in none that it had just left: after %s',
    async (last) => {
      const { one, balancer } = await startOne();
      const page = await openPage(balancer.port, ['g', 'h', 'joined']);
      const ask = async (event: string, groupId: string): Promise<void> => {
        expect(await page.socket.timeout(5_000).emitWithAck(event, { groupId: idOf(groupId) })).toMatchObject({
          ok: true,
        });
      };
      await ask('leave-group', 'joined');
      await say('g', '1');
      await until('the message', () => page.texts.includes('g: 1'));
      const asks = [
        ['leave-group', 'h'],
        ['join-group', 'joined'],
      ] as const;
      for (const [event, groupId] of last === 'join-group' ? asks : asks.toReversed()) await ask(event, groupId);
      await kill(one);
      await isBack(page);
      for (const groupId of ['h', 'joined', 'g']) await say(groupId, '2');
      await until('the last', () => ['joined: 2', 'g: 2'].every((text) => page.texts.includes(text)));
      expect(page.recovered).toEqual([false, true]);
      expect(page.texts).not.toContain('h: 2');
    },
  );

  test.each(['session', 'deliveries'])(
    'gets nothing twice, and is not said to go on with less than everything, when Redis has lost what it kept (%s)',
    async (kept) => {
      const { one, balancer } = await startOne();
      const connection = new Redis(redis.url);
      cleanUps.push(() => connection.disconnect());
      const page = await openPage(balancer.port);
      for (const groupId of GROUPS) await say(groupId, '1');
      await until('the first', () => page.texts.length === 4);
      const keys = async (): Promise<string[]> => connection.keys(`*:${kept}:*`);
      await until('what is kept', async () => (await keys()).length > 0);
      await connection.del(...(await keys()));
      await say('g', '2');
      await until('the second', () => page.texts.includes('g: 2'));
      await kill(one);
      for (const groupId of GROUPS) await say(groupId, '3');
      await isBack(page);
      for (const groupId of GROUPS) await say(groupId, '4');
      await until('the last', () => GROUPS.every((groupId) => page.texts.includes(`${groupId}: 4`)));
      expect(page.recovered).toEqual([false, false]);
      for (const groupId of GROUPS) {
        const texts = page.texts.filter((text) => text.startsWith(`${groupId}: `));
        expect(texts).toEqual([...new Set(texts)].toSorted());
      }
    },
  );

  test('goes on when the only relay is started again', async () => {
    const own = await startRedis();
    cleanUps.push(async () => own.stop());
    let relay = await startRelay(own.url);
    const balancer = await startBalancer(() => [relay.port]);
    cleanUps.push(async () => balancer.close());
    const page = await openPage(balancer.port, ['g']);
    const sayThere = async (text: string): Promise<unknown> =>
      broadcasterTo(relay).broadcastMessage({ groupId: idOf('g'), message: { text } });
    await sayThere('1');
    await until('the first', () => page.texts.includes('g: 1'));
    const exited = once(relay.child, 'exit');
    relay.signal('SIGTERM');
    await exited;
    relay = await startRelay(own.url);
    await isBack(page);
    expect(relay.output()).not.toContain('not in the log any more');
    await sayThere('2');
    await until('the next', () => page.texts.includes('g: 2'));
    expect([page.recovered, page.texts]).toEqual([
      [false, true],
      [FRESH, 'g: 1', 'g: 2'],
    ]);
  });

  test('goes on while its relay is frozen, which takes nothing back when it wakes up', async () => {
    const one = await startRelay();
    let target = one.port;
    const balancer = await startBalancer(() => [target]);
    cleanUps.push(async () => balancer.close());
    const page = await openPage(balancer.port, ['g']);
    await say('g', '1');
    await until('the first', () => page.texts.includes('g: 1'));
    const connection = new Redis(redis.url);
    cleanUps.push(() => connection.disconnect());
    const key = `gc:session:{${(page.socket as unknown as { _pid: string })._pid}}`;
    const before = await connection.hget(key, 'holder');
    one.child.kill('SIGSTOP');
    target = other.port;
    page.socket.io.engine.close();
    await isBack(page);
    await say('g', '2');
    await until('the next', () => page.texts.includes('g: 2'));
    one.child.kill('SIGCONT');
    await until('the relay to know', async () => {
      const text = await (await fetch(`${one.internalUrl}/metrics`)).text();
      return /^groupcast_relay_connections\{type="user"\} 0$/m.test(text);
    });
    await say('g', '3');
    await until('the last', () => page.texts.includes('g: 3'));
    expect([page.recovered, page.texts]).toEqual([
      [false, true],
      [FRESH, 'g: 1', 'g: 2', 'g: 3'],
    ]);
    const { holder, page: kept } = await connection.hgetall(key);
    expect(kept).toBeDefined();
    expect(holder).not.toBe(before);
  });
});
