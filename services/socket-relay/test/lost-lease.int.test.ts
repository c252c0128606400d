import {
  type RedisServer,
  received,
  startRedis,
  startTcpProxy,
  type TcpProxy,
  TEST_SECRETS,
  tokenFor,
  tokenWith,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { Redis } from 'ioredis';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const EPOCH = '1-a';
/** Short enough for a longer outage to be over soon, and long enough for a busy machine to end none. */
const LEASE_MS = 4_000;
/** The lease of a relay that is to keep it. */
const LONG_LEASE_MS = 60_000;

describe('a relay whose lease has ended', () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let api: ApiStub;
  let admin: Redis;
  const relays: RelayUnderTest[] = [];

  beforeEach(async () => {
    redis = await startRedis(['--appendonly', 'yes']);
    proxy = await startTcpProxy(redis.port);
    api = await startApiStub();
    admin = new Redis(redis.url);
    admin.on('error', () => undefined);
  });
  afterEach(async () => {
    proxy.thaw();
    await Promise.all(relays.splice(0).map(async (relay) => relay.close()));
    admin.disconnect();
    await proxy.close();
    await api.close();
    await redis.stop();
  });

  async function startRelay(env: Readonly<Record<string, string>> = {}, leaseMs = LEASE_MS): Promise<RelayUnderTest> {
    const relay = await startRelayUnderTest({ REDIS_URL: redis.url, ...env }, { leaseMs });
    relays.push(relay);
    return relay;
  }
  /** One that stays with Redis, and one that can be cut off from it. */
  async function startBoth(env: Readonly<Record<string, string>> = {}): Promise<[RelayUnderTest, RelayUnderTest]> {
    const url = `redis://127.0.0.1:${proxy.port}`;
    return [await startRelay(env, LONG_LEASE_MS), await startRelay({ ...env, REDIS_URL: url })];
  }
  const positioned = (seq: number) => ({ groupId: 'g', epoch: EPOCH, seq, id: `m${seq}`, message: { content: 'x' } });

  /** The events that the connection gets, in order, as short words. */
  function told(socket: Socket): string[] {
    const heard: string[] = [];
    socket.onAny((event: string, payload: { seq?: number; live?: boolean }) => {
      if (event === 'new-message') heard.push(`message ${payload.seq}`);
      else if (event === 'service-state') heard.push(`live ${payload.live}`);
      else if (event !== 'presence' && event !== 'group-head' && event !== 'joined-groups') heard.push(event);
    });
    socket.on('disconnect', () => heard.push('disconnect'));
    return heard;
  }
  const metricsOf = async (relay: RelayUnderTest) => (await fetch(`${relay.internalUrl}/metrics`)).text();
  /** Whether it is unready for want of Redis: beside other work any relay may be, for reasons of its own. */
  async function missesRedis(relay: RelayUnderTest): Promise<boolean> {
    const { failing = [] } = (await (await fetch(`${relay.internalUrl}/readyz`)).json()) as { failing?: string[] };
    return failing.includes('redis');
  }
  /** A connection of a back end or of a monitor, with the events it is told. */
  async function service(relay: RelayUnderTest, type: 'api' | 'monitor'): Promise<string[]> {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, subject: type, scopes: ['broadcast', 'monitor'] });
    const socket = relay.client({ token, type });
    const heard = told(socket);
    await received(socket, 'connect');
    return heard;
  }

  test('keeps its members, gives them nothing and lets nobody in; then the removals that it missed come first, then what was sent, then it is live (G23)', async () => {
    const [first, cut] = await startBoth();
    const [alice, bob] = [await cut.member('alice', ['g']), await cut.member('bob', ['g', 'other'])];
    const [atAlice, atBob] = [told(alice), told(bob)];
    await first.broadcaster.broadcastMessage(positioned(1));
    await until('the first', () => atAlice.length === 1 && atBob.length === 1);
    proxy.freeze();
    await until('both to be told', () => [atAlice, atBob].every((heard) => heard.at(-1) === 'live false'));

    const removal = { groupId: 'g', userIds: ['alice'], epoch: EPOCH, seq: 2 };
    await until('the removal', async () => ({ done: await first.broadcaster.removeMembers(removal) }), 20_000);
    for (const seq of [2, 3, 4]) await first.broadcaster.broadcastMessage(positioned(seq));
    // It would follow directly, and is for members only.
    await expect(cut.broadcaster.broadcastMessage(positioned(2))).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
      retryable: true,
      details: { id: 'm2' },
    });
    await expect(cut.broadcaster.notifyUsers({ userIds: ['alice'], event: 'hello', data: {} })).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
    });
    expect([
      await ask(bob, 'join-group', { groupId: 'other' }),
      await ask(bob, 'join-group', { groupId: 'g', position: { epoch: EPOCH, seq: 1 } }),
      await ask(bob, 'get-presence', { groupId: 'g' }),
      await ask(bob, 'resume', { positions: { g: { epoch: EPOCH, seq: 1 } } }),
    ]).toEqual(['BROKER_UNAVAILABLE', 'BROKER_UNAVAILABLE', 'BROKER_UNAVAILABLE', 'BROKER_UNAVAILABLE']);
    // A token that is renewed meanwhile lets nobody into another group, until the relay knows the removals.
    const token = await tokenFor('bob', ['g', 'other', 'late']);
    expect(await ask(bob, 'refresh-token', { token })).toMatchObject({ ok: true, groups: ['g', 'other'] });
    expect([await missesRedis(cut), await missesRedis(first)]).toEqual([true, false]);
    expect(await metricsOf(cut)).toContain('groupcast_relay_live 0');
    expect([atAlice, atBob]).toEqual([
      ['message 1', 'live false'],
      ['message 1', 'live false'],
    ]);

    const late = received<{ groups: { groupId: string }[] }>(bob, 'joined-groups', 20_000);
    proxy.thaw();
    await until('both to be told again', () => [atAlice, atBob].every((heard) => heard.at(-1) === 'live true'), 20_000);
    expect(atAlice).toEqual(['message 1', 'live false', 'left-groups', 'live true']);
    expect(await metricsOf(cut)).toContain('groupcast_relay_live 1');
    expect(atBob).toEqual(['message 1', 'live false', 'message 2', 'message 3', 'message 4', 'live true']);
    await until('a broadcast', async () => cut.broadcaster.broadcastMessage(positioned(5)));
    await until('what is live', () => atBob.includes('message 5'));
    // An event after it on the same connection has not been overtaken.
    expect(await ask(alice, 'get-presence', { groupId: 'g' })).toBe('NOT_A_MEMBER');
    expect(atAlice).toHaveLength(4);
    expect((await late).groups).toMatchObject([{ groupId: 'late' }]);
  });

  test('tells back ends and monitors too, those that come meanwhile as well', async () => {
    const [, cut] = await startBoth();
    const services = [await service(cut, 'api'), await service(cut, 'monitor')];
    const states = (): string[][] => services.map((heard) => heard.filter((word) => word.startsWith('live')));
    expect(states()).toEqual([[], []]);
    proxy.freeze();
    await until('both to be told', () => states().every((heard) => heard.length === 1));
    services.push(await service(cut, 'api'), await service(cut, 'monitor'));
    await until('the others to be told', () => states().every((heard) => heard.length === 1));
    proxy.thaw();
    await until('all to be told again', () => states().every((heard) => heard.at(-1) === 'live true'), 20_000);
    expect(states()).toEqual(services.map(() => ['live false', 'live true']));
  });

  test('tells members where a group stands that missed more than its log holds, and gives them no part of it (G56)', async () => {
    const [first, cut] = await startBoth({ HISTORY_SIZE: '10' });
    const alice = await cut.member('alice', ['g']);
    const atAlice = told(alice);
    await first.broadcaster.broadcastMessage(positioned(1));
    await until('the first', () => atAlice.length === 1);
    proxy.freeze();
    await until('her to be told', () => atAlice.at(-1) === 'live false');
    for (let seq = 2; seq <= 20; seq += 1) await first.broadcaster.broadcastMessage(positioned(seq));
    const head = received<object>(alice, 'group-head', 20_000);
    proxy.thaw();
    expect(await head).toMatchObject({ groupId: 'g', epoch: EPOCH, seq: 20 });
    await until('her to be told again', () => atAlice.at(-1) === 'live true', 20_000);
    await first.broadcaster.broadcastMessage(positioned(21));
    await until('what is live', () => atAlice.includes('message 21'));
    expect(atAlice).toEqual(['message 1', 'live false', 'live true', 'message 21']);
  });

  test.each(['websocket', 'polling'])(
    'turns nobody away for good: a stock client that comes meanwhile over %s is in when it is back',
    async (transport) => {
      const [, cut] = await startBoth();
      proxy.freeze();
      await until('unready', async () => missesRedis(cut));
      await until('the end of the lease', () => cut.logged.some(({ msg }) => msg.includes('has lost its lease')));
      const again = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100, transports: [transport] };
      const carol = cut.client({ token: await tokenFor('carol', ['g']) }, again);
      const refusals: string[] = [];
      carol.on('connect_error', (error: Error & { data?: { code: string } }) => refusals.push(error.data?.code ?? ''));
      await until('a refusal', () => cut.logged.some(({ code }) => code === 'BROKER_UNAVAILABLE'));
      const joined = received<{ groups: { groupId: string }[] }>(carol, 'joined-groups', 20_000);
      proxy.thaw();
      expect((await joined).groups).toMatchObject([{ groupId: 'g' }]);
      expect([carol.active, refusals.filter((code) => code !== '')]).toEqual([true, []]);
    },
  );

  test('for Redis itself was away for longer, has everybody complete on the connections that they had (G56)', async () => {
    const both = [await startRelay(), await startRelay()];
    const members = await Promise.all(both.map(async (relay, n) => relay.member(`user${n}`, ['g'])));
    const heard = members.map(told);
    await both[0]?.broadcaster.broadcastMessage(positioned(1));
    await until('the first', () => heard.every((list) => list.length === 1));
    const before = both[0]?.logged.length ?? 0;
    await redis.kill();
    await until('everybody to be told', () => heard.every((list) => list.at(-1) === 'live false'));
    await redis.restart();
    for (const seq of [2, 3]) {
      await until(`event ${seq}`, async () => both[seq % 2]?.broadcaster.broadcastMessage(positioned(seq)), 20_000);
    }
    await until('everything', () => heard.every((list) => list.length >= 5), 20_000);
    for (const list of heard) {
      expect(list.filter((word) => word.startsWith('message'))).toEqual(['message 1', 'message 2', 'message 3']);
      expect(list.filter((word) => word.startsWith('live'))).toEqual(['live false', 'live true']);
      expect(list).not.toContain('disconnect');
    }
    const said = (both[0]?.logged.slice(before) ?? []).filter(({ level }) => level >= 30);
    expect(said[0]?.msg).toBe('redis is away; trying to reach it again');
    expect(JSON.stringify(said)).not.toMatch(/max retries per request|enableOfflineQueue/);
    expect(said.map(({ msg }) => msg)).toContain('redis is back');
  });

  test('with the changes of members lost meanwhile, has the API confirm every membership before it is live', async () => {
    for (const member of ['alice g', 'bob g', 'carol g']) api.members.add(member);
    const [first, cut] = await startBoth({ API_URL: api.url });
    const issuedAt = Math.floor(Date.now() / 1_000) - 60;
    const sockets = await Promise.all(
      ['alice', 'bob'].map(async (sub) => {
        const token = await tokenWith({ sub, groups: ['g'], iat: issuedAt, exp: issuedAt + 3_600 });
        const socket = cut.client({ token });
        await received(socket, 'joined-groups');
        return socket;
      }),
    );
    // Her token does not name the group.
    const carol = await cut.member('carol');
    await ask(carol, 'join-group', { groupId: 'g' });
    const [atAlice, atBob, atCarol] = [...sockets, carol].map(told) as [string[], string[], string[]];
    proxy.freeze();
    await until('all to be told', () => [atAlice, atBob, atCarol].every((heard) => heard.at(-1) === 'live false'));
    for (const userId of ['alice', 'carol']) {
      api.members.delete(`${userId} g`);
      await until('the removal', async () => {
        await first.broadcaster.removeMembers({ groupId: 'g', userIds: [userId] });
        return true;
      });
    }
    await admin.flushall();
    await first.broadcaster.broadcastMessage(positioned(1));
    proxy.thaw();
    await until('bob to be told', () => atBob.at(-1) === 'live true', 20_000);
    await cut.broadcaster.broadcastMessage(positioned(2));
    await until('the event', () => atBob.includes('message 2'));
    await ask(carol, 'leave-group', { groupId: 'g' });
    await ask(sockets[0] as Socket, 'leave-group', { groupId: 'g' });
    expect(atAlice).toEqual(['live false', 'left-groups', 'live true']);
    expect(atCarol).toEqual(['live false', 'left-groups', 'live true']);
    expect(atBob).not.toContain('disconnect');
  });

  test('… and gives nobody anything until it has, although Redis is there', async () => {
    api.members.add('alice g');
    const [first, cut] = await startBoth({ API_URL: api.url });
    const alice = await cut.member('alice');
    await ask(alice, 'join-group', { groupId: 'g' });
    const atAlice = told(alice);
    proxy.freeze();
    await until('her to be told', () => atAlice.at(-1) === 'live false');
    const leases = async () => admin.zcount('gc:{relays}:leases', Date.now(), '+inf');
    await until('the end of the lease', async () => (await leases()) === 1);
    await admin.flushall();
    await first.broadcaster.broadcastMessage(positioned(1));
    const asked = api.queries.length;
    api.mode = 'hang';
    proxy.thaw();
    await until('the question', () => api.queries.length > asked);

    const unavailable = { code: 'BROKER_UNAVAILABLE', retryable: true };
    await Promise.all([
      expect(cut.broadcaster.broadcastMessage(positioned(2))).rejects.toMatchObject(unavailable),
      expect(cut.broadcaster.broadcastMessage({ groupId: 'other', message: {} })).rejects.toMatchObject(unavailable),
      expect(cut.broadcaster.notifyUsers({ userIds: ['alice'], event: 'hello', data: {} })).rejects.toMatchObject(
        unavailable,
      ),
      expect(first.broadcaster.notifyUsers({ userIds: ['alice'], event: 'hello', data: {} })).rejects.toMatchObject(
        unavailable,
      ),
    ]);
    expect([
      await ask(alice, 'resume', { positions: { g: { epoch: EPOCH, seq: 0 } } }),
      await ask(alice, 'join-group', { groupId: 'new' }),
      await ask(alice, 'get-presence', { groupId: 'g' }),
    ]).toEqual(['BROKER_UNAVAILABLE', 'BROKER_UNAVAILABLE', 'BROKER_UNAVAILABLE']);
    await first.broadcaster.broadcastMessage(positioned(2));
    expect(atAlice).toEqual(['live false']);
    api.release();
    await until('her to be told again', () => atAlice.at(-1) === 'live true', 20_000);
    await first.broadcaster.broadcastMessage(positioned(3));
    // On a busy machine a lease may end again meanwhile, and the event come before the next word that it is live.
    await until('what is live', () => atAlice.includes('message 3'));
  });

  test('… and where the API cannot say, the connection comes anew', async () => {
    api.members.add('alice g');
    const [first, cut] = await startBoth({ API_URL: api.url });
    const alice = await cut.member('alice');
    await ask(alice, 'join-group', { groupId: 'g' });
    const atAlice = told(alice);
    const ending = received<{ code: string; next: string }>(alice, 'session-ending', 20_000);
    proxy.freeze();
    await until('her to be told', () => atAlice.at(-1) === 'live false');
    api.mode = 'fail';
    const leases = async () => admin.zcount('gc:{relays}:leases', Date.now(), '+inf');
    await until('the end of the lease', async () => (await leases()) === 1);
    await admin.flushall();
    await first.broadcaster.broadcastMessage(positioned(1));
    proxy.thaw();
    expect(await ending).toMatchObject({ code: 'BROKER_UNAVAILABLE', next: 'reconnect' });
    expect(atAlice).not.toContain('message 1');
  });

  /** A member who stays reads the events after the outage; by then a removed member would have read them too. */
  async function isOut(from: RelayUnderTest, member: Socket, atMember: string[], seq: number): Promise<void> {
    const atBob = told(member);
    await until('the next message', async () => from.broadcaster.broadcastMessage(positioned(seq)));
    await until('it', () => atBob.includes(`message ${seq}`));
    expect(atMember).not.toContain(`message ${seq}`);
  }

  test('has the API confirm every membership, although nobody can know that a removal was lost with the old master', async () => {
    for (const user of ['alice', 'bob']) api.members.add(`${user} g`);
    const [first, cut] = await startBoth({ API_URL: api.url });
    const [alice, bob] = [await cut.member('alice', ['g']), await cut.member('bob', ['g'])];
    const [atAlice, atBob] = [told(alice), told(bob)];
    await first.broadcaster.broadcastMessage(positioned(1));
    await until('the first', () => atAlice.length === 1 && atBob.length === 1);
    proxy.freeze();
    await until('both to be told', () => [atAlice, atBob].every((heard) => heard.at(-1) === 'live false'));
    api.members.delete('alice g');
    const removal = { groupId: 'g', userIds: ['alice'] };
    await until('the removal', async () => ({ done: await first.broadcaster.removeMembers(removal) }), 20_000);
    // Asynchronous replication loses it: the master that took over never had it.
    for (const [id, fields] of await admin.xrange('gc:{relays}:changes', '-', '+')) {
      if (fields.join().includes('alice')) await admin.xdel('gc:{relays}:changes', id);
    }
    proxy.cut();
    await until('it to be live', () => atBob.at(-1) === 'live true', 20_000);
    await isOut(first, bob, atAlice, 2);
    expect(atAlice).toContain('left-groups');
  });

  test.each(['stays', 'comes anew'])(
    'does not count an addition from before what was lost: for one that %s',
    async (how) => {
      api.members.add('bob g');
      const [first, cut] = await startBoth({ API_URL: api.url });
      const token = await tokenFor('alice', []);
      let alice = cut.client({ token });
      await received(alice, 'joined-groups');
      let atAlice = told(alice);
      const bob = await cut.member('bob', ['g']);
      const atBob = told(bob);
      api.members.add('alice g');
      const inGroup = received(alice, 'joined-groups');
      await first.broadcaster.addMembers({ groupId: 'g', userIds: ['alice'] });
      await inGroup;
      proxy.freeze();
      await until('both to be told', () => [atAlice, atBob].every((heard) => heard.at(-1) === 'live false'));
      api.members.delete('alice g');
      const removal = { groupId: 'g', userIds: ['alice'] };
      await until('the removal', async () => ({ done: await first.broadcaster.removeMembers(removal) }), 20_000);
      await admin.flushall();
      await until('the first message', async () => first.broadcaster.broadcastMessage(positioned(1)));
      proxy.thaw();
      await until('it to be live', () => atBob.at(-1) === 'live true', 20_000);
      if (how === 'comes anew') {
        alice.close();
        alice = cut.client({ token });
        atAlice = told(alice);
        await received(alice, 'joined-groups');
      }
      await isOut(first, bob, atAlice, 2);
      expect(atAlice).not.toContain('message 1');
    },
  );
});
