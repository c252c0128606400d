import type { RelayTrace, TraceRecipient } from '@groupcast/shared';
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
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
const monitorToken = async (): Promise<string> => signServiceToken({ secret, subject: 'ops', scopes: ['monitor'] });

async function traceOf(relay: RelayUnderTest, query: Readonly<Record<string, string>>): Promise<RelayTrace> {
  const answer = await fetch(`${relay.internalUrl}/v1/traces?${new URLSearchParams(query)}`, {
    headers: { authorization: `Bearer ${await monitorToken()}` },
  });
  return (await answer.json()) as RelayTrace;
}

/** The recipient once it is in that state. */
async function recipientIn(
  relay: RelayUnderTest,
  query: Readonly<Record<string, string>>,
  state: TraceRecipient['state'],
): Promise<TraceRecipient> {
  let last: TraceRecipient | undefined;
  await until(`${query['userIds']} is ${state}`, async () => {
    [last] = (await traceOf(relay, query)).recipients;
    return last?.state === state;
  });
  return last as TraceRecipient;
}

describe.each(['gathered', 'stock'])('one relay, fan-out %s', (FANOUT) => {
  let relay: RelayUnderTest;
  beforeEach(async () => {
    relay = await startRelayUnderTest({ FANOUT }, { ping: { intervalMs: 400, timeoutMs: 20_000 } });
  });
  afterEach(async () => relay.close());

  async function say(id: string): Promise<void> {
    await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { id }, epoch: '1-a', seq: Number(id.slice(1)) });
  }

  test.each([[['websocket']], [['polling']]])(
    'events that a stock client over %j has read are proven by its pong',
    async (transports) => {
      const ana = await relay.member('ana', ['g'], { transports });
      const got = received(ana, 'new-message');
      await say('m1');
      await got;
      const proven = await recipientIn(relay, { groupId: 'g', seq: '1', userIds: 'ana' }, 'proven');
      expect(proven).toMatchObject({ userId: 'ana', socketId: ana.id, why: expect.stringContaining('ping') });
      const trace = await traceOf(relay, { groupId: 'g', id: 'm1' });
      expect(trace.verdict).toMatchObject({ state: 'delivered', hop: 'client-received' });
      expect(trace.hops.map(({ hop, ok }) => [hop, ok])).toEqual([
        ['relay-accepted', true],
        ['published', true],
        ['node-received', true],
        ['written', true],
        ['client-received', true],
      ]);
      expect(trace.summary).toEqual({ proven: 1 });
    },
  );

  test('each of those who have not got it is named with why, and what to do (G81)', async () => {
    const seconds = Math.floor(Date.now() / 1_000);
    await relay.member('ana', ['g']);
    await relay.member('outside', []);
    (await relay.member('gone', ['g'])).close();
    const over = relay.client({
      token: await tokenWith({ sub: 'over', groups: ['g'], iat: seconds - 600, exp: seconds - 300 }),
    });
    expect(await refusal(over)).toBe('TOKEN_EXPIRED');
    const kept = await relay.member('kept', []);
    expect(await ask(kept, 'join-group', { groupId: 'g' })).toBe('NOT_A_MEMBER');
    await until(
      'gone',
      async () => (await traceOf(relay, { groupId: 'g', seq: '1', userIds: 'gone' })).recipients[0]?.at,
    );
    await say('m1');
    const answer = await fetch(
      `${relay.internalUrl}/v1/traces?groupId=g&seq=1&${['outside', 'gone', 'over', 'kept', 'nobody'].map((id) => `userIds=${id}`).join('&')}`,
      { headers: { authorization: `Bearer ${await monitorToken()}` } },
    );
    const { recipients, verdict } = (await answer.json()) as RelayTrace;
    expect(Object.fromEntries(recipients.map(({ userId, state, code }) => [userId, [state, code]]))).toEqual({
      gone: ['offline', undefined],
      kept: ['refused', 'NOT_A_MEMBER'],
      nobody: ['offline', undefined],
      outside: ['connected-not-joined', undefined],
      over: ['token-expired', 'TOKEN_EXPIRED'],
    });
    expect(recipients.find(({ userId }) => userId === 'outside')?.fix).toContain('join-group');
    expect(verdict).toMatchObject({ state: 'stopped', code: 'OFFLINE' });
  });

  test('the refusal of a back end is no reason why somebody is away, and that of an unknown page may be one', async () => {
    await say('m1');
    const causeOf = async (): Promise<string> =>
      (await traceOf(relay, { groupId: 'g', seq: '1', userIds: 'ana' })).verdict.cause;
    expect(await refusal(relay.client({ token: 'wrong', type: 'api' }))).toBe('SERVICE_TOKEN_INVALID');
    expect(await causeOf()).not.toContain('refused');
    expect(await refusal(relay.client({ token: 'wrong' }))).toBe('TOKEN_INVALID');
    expect(await causeOf()).toMatch(/a connection was refused, nobody knows whose \(TOKEN_INVALID\)/);
  });

  test('one who came after the event has not got it, and one who has recovered it has', async () => {
    const ana = await relay.member('ana', ['g']);
    await say('m1');
    await say('m2');
    const late = await relay.member('late', ['g']);
    const back = relay.client({ token: await tokenFor('back', ['g']), positions: { g: { epoch: '1-a', seq: 1 } } });
    await received(back, 'resumed');
    expect(ana.connected && late.connected).toBe(true);
    expect((await recipientIn(relay, { groupId: 'g', seq: '2', userIds: 'late' }, 'offline')).why).toContain('later');
    await recipientIn(relay, { groupId: 'g', seq: '2', userIds: 'back' }, 'proven');
    // It has recovered what came after 1.
    await recipientIn(relay, { groupId: 'g', seq: '1', userIds: 'back' }, 'offline');
  });

  test('an event that no relay knows has stopped before it was accepted', async () => {
    await relay.member('ana', ['g']);
    await say('m1');
    const { verdict, hops } = await traceOf(relay, { groupId: 'g', seq: '7' });
    expect(verdict).toMatchObject({ state: 'stopped', hop: 'relay-accepted', code: 'NOT_ACCEPTED' });
    expect(hops).toEqual([{ hop: 'relay-accepted', ok: false, detail: 'the log stands at 1' }]);
  });

  test('a group that is spelled otherwise is a near miss', async () => {
    await relay.member('ana', ['7']);
    await relay.broadcaster.broadcastMessage({ groupId: 'group-7', message: { id: 'm1' } });
    const { verdict } = await traceOf(relay, { groupId: 'group-7', id: 'm1' });
    expect(verdict).toMatchObject({ state: 'stopped', code: 'NEAR_MISS', cause: expect.stringContaining('group "7"') });
  });

  test('a publisher that expects users is told who has it and who is absent, and why (G82)', async () => {
    await relay.member('ana', ['g']);
    await relay.member('bob', ['g']);
    await relay.member('outside', []);
    (await relay.member('gone', ['g'])).close();
    const expectedUserIds = ['ana', 'bob', 'outside', 'gone', 'nobody', 'ana'];
    const { delivery } = await relay.broadcaster.broadcastMessage({
      groupId: 'g',
      message: { id: 'm1' },
      expectedUserIds,
      waitFor: 'proven',
      withinMs: 10_000,
    });
    expect(delivery).toEqual({
      proven: ['ana', 'bob'],
      pending: [],
      absent: [
        { userId: 'outside', why: 'connected-not-joined' },
        { userId: 'gone', why: 'offline' },
        { userId: 'nobody', why: 'offline' },
      ],
    });
    const asked = await fetch(`${relay.internalUrl}/v1/deliveries`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await signServiceToken({ secret, subject: 'b', scopes: ['broadcast'] })}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ groupId: 'g', id: 'm1', expectedUserIds: ['bob'], waitFor: 'written' }),
    });
    expect(await asked.json()).toEqual({
      ok: true,
      delivery: { proven: ['bob'], written: [], pending: [], absent: [] },
    });
  });

  test('items of a batch do not wait for those whom another one expects (G82)', async () => {
    const frozen = await relay.member('frozen', ['g']);
    // Its engine answers no ping.
    frozen.io.engine.removeAllListeners('ping');
    frozen.io.engine.transport.removeAllListeners('packet');
    const ana = await relay.member('ana', ['g']);
    const second = received(ana, 'later');
    const done = relay.broadcaster.broadcastBatch([
      { groupId: 'g', message: {}, expectedUserIds: ['frozen', 'ana'], withinMs: 1_500 },
      { groupId: 'g', event: 'later', message: {} },
    ]);
    await second;
    const [first] = await done;
    expect(first?.ok === true && first.delivery).toEqual({ proven: ['ana'], pending: ['frozen'], absent: [] });
    await recipientIn(relay, { groupId: 'g', id: first?.ok === true ? first.id : '', userIds: 'frozen' }, 'written');
  });

  test.each([
    ['nobody is expected', { waitFor: 'proven' }],
    ['there is no such wish', { expectedUserIds: ['ana'], waitFor: 'read' }],
    ['it waits for no time', { expectedUserIds: ['ana'], withinMs: 0 }],
    ['it waits too long', { expectedUserIds: ['ana'], withinMs: 30_001 }],
    ['too many are expected', { expectedUserIds: Array.from({ length: 10_001 }, (_, n) => `u${n}`) }],
  ])('a broadcast is refused where %s', async (_, wish) => {
    await expect(
      relay.broadcaster.broadcastMessage({ groupId: 'g', message: {}, ...wish } as never),
    ).rejects.toMatchObject({
      code: 'INVALID_PAYLOAD',
    });
  });

  test('one who was left out is not called reached, nor offline', async () => {
    const ana = await relay.member('ana', ['g']);
    const { delivery } = await relay.broadcaster.broadcastMessage({
      groupId: 'g',
      message: { id: 'm1' },
      exceptUserId: 'ana',
      expectedUserIds: ['ana'],
    });
    expect(delivery).toEqual({
      proven: [],
      pending: [],
      absent: [{ userId: 'ana', why: 'refused', code: 'EXCEPTED' }],
    });
    const { recipients } = await traceOf(relay, { groupId: 'g', id: 'm1', userIds: 'ana' });
    expect(recipients).toMatchObject([{ userId: 'ana', state: 'refused', code: 'EXCEPTED', socketId: ana.id }]);
    const other = await relay.broadcaster.broadcastMessage({
      groupId: 'g',
      message: { id: 'm2' },
      exceptSocketId: ana.id ?? '',
      expectedUserIds: ['ana'],
    });
    expect(other.delivery?.proven).toEqual([]);
  });

  test('nobody waits for an event that comes to nobody', async () => {
    await relay.member('outside', []);
    const asked = relay.broadcaster.broadcastMessage({
      groupId: 'empty',
      message: {},
      expectedUserIds: ['outside', 'nobody'],
      withinMs: 30_000,
    });
    expect((await asked).delivery?.absent).toHaveLength(2);
  });

  test('one who has read it and goes while others are waited for has read it', async () => {
    const frozen = await relay.member('frozen', ['g']);
    frozen.io.engine.removeAllListeners('ping');
    frozen.io.engine.transport.removeAllListeners('packet');
    const ana = await relay.member('ana', ['g']);
    const asked = relay.broadcaster.broadcastMessage({
      groupId: 'g',
      message: { id: 'm1' },
      expectedUserIds: ['ana', 'frozen'],
      withinMs: 3_000,
    });
    await recipientIn(relay, { groupId: 'g', id: 'm1', userIds: 'ana' }, 'proven');
    ana.close();
    const { delivery } = await asked;
    expect(delivery).toEqual({ proven: ['ana'], pending: ['frozen'], absent: [] });
    await recipientIn(relay, { groupId: 'g', id: 'm1', userIds: 'ana' }, 'proven');
    // Nor does a page that is loaded anew forget it.
    await relay.member('ana', ['g']);
    await recipientIn(relay, { groupId: 'g', id: 'm1', userIds: 'ana' }, 'proven');
  });

  test('a broadcast does not wait for those whom a batch before it expects', async () => {
    const frozen = await relay.member('frozen', ['g']);
    frozen.io.engine.removeAllListeners('ping');
    frozen.io.engine.transport.removeAllListeners('packet');
    const order: string[] = [];
    const batch = relay.broadcaster
      .broadcastBatch([{ groupId: 'g', message: {}, expectedUserIds: ['frozen'], withinMs: 2_000 }])
      .then(() => order.push('batch'));
    await relay.broadcaster.broadcastMessage({ groupId: 'other', message: {} });
    order.push('broadcast');
    await batch;
    expect(order).toEqual(['broadcast', 'batch']);
  });

  test('a user who comes into an empty group after an event has not got it', async () => {
    await say('m1');
    await relay.member('late', ['g']);
    for (const name of [{ seq: '1' }, { id: 'm1' }] as Record<string, string>[]) {
      const { recipients } = await traceOf(relay, { groupId: 'g', userIds: 'late', ...name });
      expect(recipients).toMatchObject([{ state: 'offline', why: expect.stringContaining('came later') }]);
    }
  });

  test('events of another epoch are not those that a connection has recovered', async () => {
    for (const seq of [1, 2, 3]) await say(`m${seq}`);
    const back = relay.client({ token: await tokenFor('back', ['g']), positions: { g: { epoch: '1-a', seq: 1 } } });
    await received(back, 'resumed');
    await recipientIn(relay, { groupId: 'g', seq: '3', userIds: 'back' }, 'proven');
    back.io.engine.removeAllListeners('ping');
    back.io.engine.transport.removeAllListeners('packet');
    for (const seq of [1, 2, 3]) {
      await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { id: `n${seq}` }, epoch: '2-b', seq });
    }
    const { recipients } = await traceOf(relay, { groupId: 'g', id: 'n2', userIds: 'back' });
    expect(recipients).toMatchObject([{ state: 'written' }]);
  });

  test('a trace is for monitors', async () => {
    const token = await signServiceToken({ secret, subject: 'b', scopes: ['broadcast'] });
    const answers = await Promise.all(
      [{}, { authorization: `Bearer ${token}` }].map(async (headers: Record<string, string>) => {
        const answer = await fetch(`${relay.internalUrl}/v1/traces?groupId=g&seq=1`, { headers });
        return answer.status;
      }),
    );
    expect(answers).toEqual([401, 403]);
  });
});

describe('an event that left every memory but the log', () => {
  let relay: RelayUnderTest;
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => redis.stop());
  afterEach(async () => relay.close());

  /** A relay that knows nothing but what the log kept of these events. */
  async function restartAfter(events: number, env: Readonly<Record<string, string>>): Promise<void> {
    const first = await startRelayUnderTest(env);
    const items = Array.from({ length: events }, (_, n) => ({
      groupId: 'long',
      message: { id: `m${n + 1}` },
      epoch: '1-a',
      seq: n + 1,
    }));
    for (let at = 0; at < events; at += 100) await first.broadcaster.broadcastBatch(items.slice(at, at + 100));
    await first.close();
    relay = await startRelayUnderTest(env);
  }

  test('is found by its id, however many came after it, and one that never was is not accepted', async () => {
    await restartAfter(2_500, { REDIS_URL: redis.url, REDIS_PREFIX: 'long', HISTORY_SIZE: '5000' });
    for (const id of ['m1', 'm1000', 'm1501', 'm2500']) {
      const { verdict, position } = await traceOf(relay, { groupId: 'long', id });
      expect([verdict.code, position?.seq]).toEqual(['NO_RECIPIENTS', Number(id.slice(1))]);
    }
    const { verdict } = await traceOf(relay, { groupId: 'long', id: 'never' });
    expect(verdict).toMatchObject({ hop: 'relay-accepted', code: 'NOT_ACCEPTED' });
  });

  test('and has left the log too is remembered no more, and was accepted where its position says so', async () => {
    await restartAfter(30, { REDIS_URL: redis.url, REDIS_PREFIX: 'short', HISTORY_SIZE: '10' });
    const bySeq = await traceOf(relay, { groupId: 'long', seq: '3' });
    expect(bySeq.verdict).toMatchObject({ state: 'stopped', hop: 'published', code: 'NOT_REMEMBERED' });
    expect(bySeq.verdict.cause).toContain('it was accepted, and no relay remembers it any more');
    expect(bySeq.hops.map(({ hop, ok }) => [hop, ok])).toEqual([
      ['relay-accepted', true],
      ['published', false],
    ]);
    const byId = await traceOf(relay, { groupId: 'long', id: 'm3' });
    expect(byId.verdict).toMatchObject({ state: 'stopped', hop: 'relay-accepted', code: 'NOT_REMEMBERED' });
    expect(byId.hops.map(({ hop, ok }) => [hop, ok])).toEqual([['relay-accepted', false]]);
    for (const query of [{ seq: '31' }, { seq: '3', epoch: '2-b' }]) {
      const { verdict } = await traceOf(relay, { groupId: 'long', ...query });
      expect(verdict).toMatchObject({ hop: 'relay-accepted', code: 'NOT_ACCEPTED' });
    }
  });
});

describe('the received cursor of a member', () => {
  let api: ApiStub;
  let relay: RelayUnderTest;
  beforeEach(async () => {
    api = await startApiStub();
    for (const userId of ['stock', 'own', 'late']) api.members.add(`${userId} g`);
    relay = await startRelayUnderTest(
      { API_URL: api.url, API_INTERNAL_URL: api.url },
      { ping: { intervalMs: 400, timeoutMs: 20_000 } },
    );
  });
  afterEach(async () => {
    await relay.close();
    await api.close();
  });

  test('is what its pong has proven, for a stock client; one that reports by itself is not spoken for (G83)', async () => {
    await relay.member('stock', ['g']);
    const own = await relay.member('own', ['g']);
    await ask(own, 'update-cursors', { cursors: { g: { received: 0 } } });
    for (const seq of [1, 2]) {
      await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { id: `m${seq}` }, epoch: '1-a', seq });
    }
    await relay.member('late', ['g']);
    await until('the cursor', () => api.cursors.some(({ userId, received: at }) => userId === 'stock' && at === 2));
    await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { id: 'm3' }, epoch: '1-a', seq: 3 });
    await until('the next', () => api.cursors.some(({ userId, received: at }) => userId === 'late' && at === 3));
    const told = (id: string): unknown[] =>
      api.cursors.filter(({ userId }) => userId === id).map((each) => each.received);
    // It came after the first two.
    expect(told('late')).toEqual([3]);
    expect(told('own')).toEqual([0]);
  });
});

describe('a connection through a bad wire', () => {
  let relay: RelayUnderTest;
  let proxy: TcpProxy;
  beforeEach(async () => {
    relay = await startRelayUnderTest({}, { ping: { intervalMs: 400, timeoutMs: 20_000 } });
    proxy = await startTcpProxy(relay.port);
  });
  afterEach(async () => {
    await proxy.close();
    await relay.close();
  });

  async function far(userId: string): Promise<Socket> {
    const socket = io(`http://127.0.0.1:${proxy.port}`, {
      forceNew: true,
      transports: ['websocket'],
      auth: { token: await tokenFor(userId, ['g']) },
    });
    relay.cleanUp(() => void socket.close());
    await received(socket, 'joined-groups');
    return socket;
  }

  test('has nothing proven that did not arrive, and what arrived when the wire is back', async () => {
    const socket = await far('far');
    proxy.swallowAnswers();
    await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { id: 'm1' }, epoch: '1-a', seq: 1 });
    const query = { groupId: 'g', seq: '1', userIds: 'far' };
    const { delivery } = await relay.broadcaster.broadcastMessage({
      groupId: 'g',
      message: { id: 'm2' },
      expectedUserIds: ['far'],
      withinMs: 1_000,
    });
    expect(delivery).toEqual({ proven: [], pending: ['far'], absent: [] });
    expect((await traceOf(relay, query)).recipients[0]).toMatchObject({ state: 'written' });
    const { verdict } = await traceOf(relay, query);
    expect(verdict).toMatchObject({ state: 'stopped', hop: 'client-received', code: 'NOT_PROVEN' });
    proxy.passAnswers();
    const back = received(socket, 'joined-groups');
    proxy.cut();
    await back;
    expect((await recipientIn(relay, query, 'offline')).why).toContain('later');
  });
});

describe('several relays on one Redis', () => {
  let redis: RedisServer;
  const relays: RelayUnderTest[] = [];
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterEach(async () => {
    await Promise.all(relays.splice(0).map(async (relay) => relay.close()));
  });
  afterAll(async () => redis.stop());

  async function start(url = redis.url, leaseMs = 15_000): Promise<RelayUnderTest> {
    const ping = { intervalMs: 400, timeoutMs: 20_000 };
    const relay = await startRelayUnderTest({ REDIS_URL: url }, { ping, leaseMs });
    relays.push(relay);
    return relay;
  }

  test('one answers for the members of all, and each member once', async () => {
    const [first, second] = [await start(), await start()];
    await first.member('ana', ['c1']);
    await second.member('bob', ['c1']);
    await first.member('both', ['c1']);
    await second.member('both', ['c1']);
    await second.member('outside', []);
    const { delivery } = await first.broadcaster.broadcastMessage({
      groupId: 'c1',
      message: { id: 'm1' },
      epoch: '1-a',
      seq: 1,
      expectedUserIds: ['ana', 'bob', 'both', 'outside', 'nobody'],
      withinMs: 10_000,
    });
    expect(delivery).toEqual({
      proven: ['ana', 'bob', 'both'],
      pending: [],
      absent: [
        { userId: 'outside', why: 'connected-not-joined' },
        { userId: 'nobody', why: 'offline' },
      ],
    });
    const trace = await traceOf(second, { groupId: 'c1', id: 'm1' });
    expect(trace).toMatchObject({ summary: { proven: 3 }, unreachable: [], verdict: { state: 'delivered' } });
    expect(trace.nodes.map(({ members }) => members).toSorted()).toEqual([2, 2]);
    expect(trace.hops.filter(({ hop }) => hop === 'node-received').every(({ ok, ms }) => ok && ms !== undefined)).toBe(
      true,
    );
    const page = await traceOf(second, { groupId: 'c1', id: 'm1', limit: '2' });
    expect(page.recipients.map(({ userId }) => userId)).toEqual(['ana', 'bob']);
    const rest = await traceOf(second, { groupId: 'c1', id: 'm1', limit: '2', after: page.next ?? '' });
    expect([rest.recipients.map(({ userId }) => userId), rest.next]).toEqual([['both'], undefined]);
  });

  test('a relay without members of the group holds up no answer', async () => {
    const first = await start();
    await start();
    await first.member('ana', ['c4']);
    const asked = (await start()).broadcaster.broadcastMessage({
      groupId: 'c4',
      message: { id: 'm1' },
      expectedUserIds: ['ana'],
      withinMs: 30_000,
    });
    expect((await asked).delivery).toEqual({ proven: ['ana'], pending: [], absent: [] });
  });

  test('a relay that hears nothing any more is named, and so are the users that may be there (G81)', async () => {
    const { hostname, port } = new URL(redis.url);
    const wire = await startTcpProxy(Number(port), hostname);
    const first = await start();
    const second = await start(`redis://127.0.0.1:${wire.port}`);
    try {
      await first.member('ana', ['c2']);
      await second.member('bob', ['c2']);
      wire.freeze();
      await first.broadcaster.broadcastMessage({ groupId: 'c2', message: { id: 'm1' }, epoch: '1-a', seq: 1 });
      const trace = await traceOf(first, { groupId: 'c2', seq: '1', userIds: 'bob' });
      expect(trace.unreachable).toHaveLength(1);
      expect(trace.recipients).toMatchObject([
        { userId: 'bob', state: 'node-unreachable', node: trace.unreachable[0] },
      ]);
      expect(trace.verdict).toMatchObject({ state: 'stopped', hop: 'node-received', code: 'NODE_UNREACHABLE' });
    } finally {
      wire.thaw();
      await wire.close();
    }
  });

  test('a relay that is frozen is named when its lease has ended too, and no more when it is gone (G81)', async () => {
    const first = await start(redis.url, 1_000);
    const wire = await startTcpProxy(redis.port);
    const second = await start(`redis://127.0.0.1:${wire.port}`, 1_000);
    const admin = new Redis(redis.url);
    const question = { groupId: 'c7', seq: '1', userIds: 'bob' };
    try {
      await second.member('bob', ['c7']);
      wire.freeze();
      await until('its lease to end', async () => (await admin.zcard('gc:{relays}:lost')) > 0);
      await first.broadcaster.broadcastMessage({ groupId: 'c7', message: { id: 'm1' }, epoch: '1-a', seq: 1 });
      const trace = await traceOf(first, question);
      expect(trace.verdict).toMatchObject({ hop: 'node-received', code: 'NODE_UNREACHABLE' });
      expect(trace.recipients).toMatchObject([{ state: 'node-unreachable', node: trace.unreachable[0] }]);
      await wire.close();
      await until('Redis to see it go', async () => (await traceOf(first, question)).unreachable.length === 0);
      expect((await traceOf(first, question)).verdict).toMatchObject({ hop: 'written', code: 'OFFLINE' });
    } finally {
      admin.disconnect();
      await wire.close();
    }
  });

  test('nothing is called delivered while a relay that may have members does not answer (G81)', async () => {
    const wire = await startTcpProxy(redis.port);
    const [first, second] = [await start(), await start(`redis://127.0.0.1:${wire.port}`)];
    try {
      await first.member('ana', ['c5']);
      await second.member('bob', ['c5']);
      await first.broadcaster.broadcastMessage({ groupId: 'c5', message: { id: 'm1' }, epoch: '1-a', seq: 1 });
      await recipientIn(first, { groupId: 'c5', seq: '1', userIds: 'ana' }, 'proven');
      wire.freeze();
      const { verdict } = await traceOf(first, { groupId: 'c5', seq: '1' });
      expect(verdict).toMatchObject({ state: 'partly', code: 'NODE_UNREACHABLE' });
    } finally {
      wire.thaw();
      await wire.close();
    }
  });

  test('of two relays that remember why somebody is not there the last one counts, and one that has somebody most', async () => {
    const [first, second] = [await start(), await start()];
    const seconds = Math.floor(Date.now() / 1_000);
    const claims = { sub: 'bob', groups: ['c6'], iat: seconds - 600, exp: seconds - 300 };
    expect(await refusal(first.client({ token: await tokenWith(claims) }))).toBe('TOKEN_EXPIRED');
    await recipientIn(first, { groupId: 'c6', seq: '1', userIds: 'bob' }, 'token-expired');
    (await second.member('bob', ['c6'])).close();
    await recipientIn(first, { groupId: 'c6', seq: '1', userIds: 'bob' }, 'offline');
    await second.member('bob', []);
    await recipientIn(first, { groupId: 'c6', seq: '1', userIds: 'bob' }, 'connected-not-joined');
  });

  test('a relay without Redis says so', async () => {
    const { port } = new URL(redis.url);
    const wire = await startTcpProxy(Number(port));
    const relay = await start(`redis://127.0.0.1:${wire.port}`);
    try {
      await relay.member('ana', ['c3']);
      wire.freeze();
      const { verdict } = await traceOf(relay, { groupId: 'c3', seq: '1' });
      expect(verdict).toMatchObject({ state: 'stopped', hop: 'published', code: 'REDIS_UNREACHABLE' });
    } finally {
      wire.thaw();
      await wire.close();
    }
  });
});
