import { get } from 'node:http';
import type { GroupEvent, SessionEnding } from '@groupcast/shared';
import {
  received,
  type ServiceProcess,
  startRedis,
  startRelayProcess,
  startTcpProxy,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { DrainProgress } from '../src/drain/drain.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const POLLING = { transports: ['polling'] };
const HANDSHAKE = '/socket.io/?EIO=4&transport=polling';

interface HttpAnswer<T> {
  status: number;
  body: T;
}

let token: string;
beforeAll(async () => {
  const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
  token = await signServiceToken({ ...options, scopes: ['admin', 'broadcast'] });
});

async function request<T = DrainProgress>(
  relay: { internalUrl: string },
  method: string,
  path: string,
  body?: unknown,
  bearer = token,
): Promise<HttpAnswer<T>> {
  const response = await fetch(`${relay.internalUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

const drain = async (relay: RelayUnderTest, seconds: number): Promise<HttpAnswer<DrainProgress>> =>
  request(relay, 'POST', '/v1/drain', { seconds });
const drainInBackground = async (relay: RelayUnderTest, seconds: number): Promise<HttpAnswer<DrainProgress>> =>
  request(relay, 'POST', '/v1/drain?wait=false', { seconds });

/** A connection below Socket.IO, whose client does only what the test makes it do. */
async function openSession(url: string): Promise<{ post(packet: string): Promise<number>; poll(): Promise<string> }> {
  const opened = await (await fetch(`${url}${HANDSHAKE}`)).text();
  const { sid } = JSON.parse(opened.slice(1)) as { sid: string };
  const session = `${url}${HANDSHAKE}&sid=${sid}`;
  return {
    post: async (body) => (await fetch(session, { method: 'POST', body })).status,
    poll: async () => (await fetch(session)).text(),
  };
}

/** The HTTP answer to a WebSocket that is refused; a browser sees an error and no more. */
async function refusedUpgrade(url: string): Promise<string> {
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
  return new Promise((resolve, reject) => {
    get(url, { headers: { ...headers, 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' } }, (response) => {
      let text = `${response.statusCode} `;
      response.on('data', (bytes: Buffer) => {
        text += bytes.toString();
      });
      response.on('end', () => resolve(text));
    })
      .once('upgrade', (_response, socket) => {
        socket.destroy();
        reject(new Error('it was let in'));
      })
      .once('error', reject);
  });
}

describe('a relay that is drained', () => {
  let relay: RelayUnderTest;
  afterEach(async () => {
    await relay.close();
  });

  test('is unready, refuses new connections with a 503 and serves those it has, polling ones too (G26)', async () => {
    relay = await startRelayUnderTest();
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: {} });
    const first = await relay.member('first', ['1']);
    const alice = await relay.member('alice', ['1'], POLLING);
    const bob = await relay.member('bob', ['1']);
    const told = received(first, 'session-ending');
    const begun = await drainInBackground(relay, 3_600);
    expect(begun).toMatchObject({ status: 202, body: { ok: true, state: 'draining', total: 4 } });
    expect(await told).toEqual({
      code: 'SERVER_DRAINING',
      message: expect.any(String),
      next: 'reconnect',
      retryAfterMs: expect.any(Number),
    });

    const ready = await fetch(`${relay.internalUrl}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'unready', failing: ['draining'] }]);
    expect((await fetch(`${relay.url}/livez`)).status).toBe(200);

    const error = expect.objectContaining({ code: 'SERVER_DRAINING', retryable: true, retryAfterMs: 1_000 });
    for (const path of [HANDSHAKE, `${HANDSHAKE}&sid=of-another-relay`]) {
      const refused = await fetch(`${relay.url}${path}`);
      expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toEqual([503, '1', { error }]);
    }
    const webSocket = `${relay.url}/socket.io/?EIO=4&transport=websocket`;
    expect(await refusedUpgrade(webSocket)).toMatch(/^503 .*"code":"SERVER_DRAINING".*"retryable":true/);

    const heard = Promise.all([alice, bob].map(async (member) => received(member, 'new-message')));
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: { text: 'still here' } });
    for (const event of await heard) expect(event).toMatchObject({ text: 'still here' });
    for (const member of [alice, bob]) {
      expect(await ask(member, 'join-group', { groupId: '1' })).toMatchObject({ ok: true, groupId: '1' });
    }
    expect(await request(relay, 'GET', '/v1/drain')).toEqual({
      status: 200,
      body: { ok: true, state: 'draining', total: 4, moved: 1, remaining: 3, recovered: null },
    });
  });

  test('answers when the last one is gone, members before back ends; a second drain joins the first', async () => {
    relay = await startRelayUnderTest();
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: {} });
    const service = relay.client({ token, type: 'api' });
    await received(service, 'connect');
    const members = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => relay.member(`u${n}`, ['1'], n % 2 ? POLLING : {})),
    );
    const left: string[] = [];
    for (const socket of [...members, service]) {
      socket.once('session-ending', () => left.push(socket === service ? 'service' : 'member'));
    }
    const drained = {
      status: 200,
      body: { ok: true, state: 'drained', total: 12, moved: 12, remaining: 0, recovered: null },
    };
    // Were the second one's hour its own, it would not answer within this test.
    expect(await Promise.all([drain(relay, 0.4), drain(relay, 3_600)])).toEqual([drained, drained]);
    await until('everybody to be told', () => left.length === 11);
    expect(left.indexOf('service')).toBe(10);
    expect(await request(relay, 'POST', '/v1/drain')).toEqual(drained);
    expect((await fetch(`${relay.internalUrl}/readyz`)).status).toBe(503);
    expect((await fetch(`${relay.url}${HANDSHAKE}`)).status).toBe(503);
  });

  test('serves again when it is undone: a stock client that knocked meanwhile is back by itself', async () => {
    relay = await startRelayUnderTest();
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: {} });
    const alice = await relay.member('alice', ['1'], {
      reconnection: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 50,
    });
    const refused = new Promise((resolve) => alice.io.once('reconnect_error', resolve));
    await drain(relay, 0);
    await refused;
    const back = received(alice, 'joined-groups');
    const serving = await request(relay, 'DELETE', '/v1/drain');
    expect(serving).toMatchObject({ status: 200, body: { ok: true, state: 'serving', moved: 0 } });
    expect((await fetch(`${relay.internalUrl}/readyz`)).status).toBe(200);
    await back;
    // The next drain starts from nothing.
    await until('the broadcaster to be back', async () => (await request(relay, 'GET', '/v1/drain')).body.total === 2);
    expect(await drain(relay, 0)).toMatchObject({ body: { state: 'drained', total: 2, moved: 2 } });
  });

  test('tells its callers that it was given up, and keeps the connections that were not told yet', async () => {
    relay = await startRelayUnderTest();
    const members = [await relay.member('first'), await relay.member('second'), await relay.member('third')];
    const waiting = drain(relay, 3_600);
    await received(members[0] as Socket, 'disconnect');
    expect(await request(relay, 'DELETE', '/v1/drain')).toMatchObject({ status: 200, body: { state: 'serving' } });
    expect(await waiting).toMatchObject({ status: 409, body: { error: { code: 'CONFLICT', retryable: false } } });
    for (const member of members.slice(1))
      expect(await ask(member, 'leave-group', { groupId: '1' })).toMatchObject({ ok: true });
    await relay.member('fourth');
  });

  test('is not held by a client that stopped polling, nor by one that was half-way in', async () => {
    relay = await startRelayUnderTest();
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: {} });
    const [silent, slow, late] = [
      await openSession(relay.url),
      await openSession(relay.url),
      await openSession(relay.url),
    ];
    const connect = `40${JSON.stringify({ token: await tokenFor('alice') })}`;
    await silent.post(connect);
    await until('the silent one', async () => (await request(relay, 'GET', '/v1/drain')).body.total === 2);
    const startedAt = performance.now();
    const done = drain(relay, 0);
    await until('the drain', async () => (await request(relay, 'GET', '/v1/drain')).body.state === 'draining');
    await slow.post(connect);
    await until('the slow one to be told', async () => (await slow.poll()).includes('"session-ending"'));
    expect(await done).toMatchObject({ body: { state: 'drained', remaining: 0 } });
    // The heartbeat would notice after 15 s.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    await late.post(connect);
    await until('the late one to be told', async () => (await late.poll()).includes('"session-ending"'));
  });

  test('is drained by admins only, and says what is wrong with a request', async () => {
    relay = await startRelayUnderTest();
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const publisher = await signServiceToken({ ...options, scopes: ['broadcast', 'monitor'] });
    for (const method of ['POST', 'GET', 'DELETE']) {
      expect(await request(relay, method, '/v1/drain', undefined, publisher)).toMatchObject({ status: 403 });
      expect(await request(relay, method, '/v1/drain', undefined, 'nonsense')).toMatchObject({ status: 401 });
    }
    for (const body of [{ seconds: -1 }, { seconds: 3_601 }, { seconds: '5' }, { minutes: 1 }, 5]) {
      const refused = { status: 400, body: { error: { code: 'INVALID_PAYLOAD' } } };
      expect(await request(relay, 'POST', '/v1/drain', body)).toMatchObject(refused);
    }
    expect(await request(relay, 'POST', '/v1/drain?wait=maybe')).toMatchObject({ status: 400 });
    expect((await request(relay, 'GET', '/v1/drain')).body.state).toBe('serving');
  });

  test('says how many came back to other relays with their positions and lost nothing, each counted once', async () => {
    const redis = await startRedis();
    const env = { REDIS_URL: redis.url };
    relay = await startRelayUnderTest(env);
    const [second, other] = [await startRelayUnderTest(env), await startRelayUnderTest(env)];
    try {
      const connect = async (to: RelayUnderTest, userId: string, epoch?: string): Promise<void> => {
        const positions = epoch === undefined ? {} : { positions: { 1: { epoch, seq: 1 } } };
        const socket = to.client({ token: await tokenFor(userId, ['1']), ...positions });
        await received(socket, 'joined-groups');
      };
      const publish = async (seq: number) =>
        other.broadcaster.broadcastMessage({ groupId: '1', epoch: '1-a', seq, id: `m${seq}`, message: {} });
      await publish(1);
      for (const userId of ['alice', 'alice', 'bob', 'carol', 'dave', 'erin']) await connect(relay, userId);
      await connect(second, 'erin');
      const report = async (of: RelayUnderTest): Promise<object> =>
        (await request<object>(of, 'GET', '/v1/drain')).body;
      expect(await report(relay)).toMatchObject({ state: 'serving', recovered: null });
      expect((await drain(relay, 0)).body).toMatchObject({ state: 'drained', recovered: 0 });
      expect((await drain(second, 0)).body).toMatchObject({ state: 'drained', recovered: 0 });
      await publish(2);
      await connect(other, 'alice', '1-a');
      // Without positions, from an epoch that is over, not from here at all.
      await connect(other, 'bob');
      await connect(other, 'carol', '1-gone');
      await connect(other, 'frank', '1-a');
      await until('alice', async () => ((await report(relay)) as { recovered: number }).recovered === 1);
      for (let n = 0; n < 3; n += 1) await connect(other, 'alice', '1-a');
      await connect(other, 'erin', '1-a');
      await until('erin', async () => ((await report(relay)) as { recovered: number }).recovered === 3);
      expect(await report(second)).toMatchObject({ state: 'drained', recovered: 0 });
    } finally {
      await Promise.all([second.close(), other.close()]);
      await relay.close();
      await redis.stop();
    }
  });

  test('describes it by OpenAPI', async () => {
    relay = await startRelayUnderTest();
    const { body } = await request<{ paths: Record<string, object> }>(relay, 'GET', '/docs/json');
    expect(Object.keys(body.paths['/v1/drain'] ?? {}).toSorted()).toEqual(['delete', 'get', 'post']);
    for (const word of ['seconds', 'wait', 'remaining', '202']) {
      expect(JSON.stringify(body.paths['/v1/drain'])).toContain(`"${word}"`);
    }
  });
});

describe('a relay that stops', () => {
  test('hurries a drain that had an hour, which then answers, and cannot be undone', async () => {
    const relay = await startRelayUnderTest({ SHUTDOWN_DRAIN_SECONDS: '1' });
    try {
      await Promise.all(Array.from({ length: 5 }, async (_, n) => relay.member(`u${n}`)));
      const waiting = drain(relay, 3_600);
      await until('the first to be gone', async () => (await request(relay, 'GET', '/v1/drain')).body.moved === 1);
      const stopped = relay.stop();
      expect(await request(relay, 'DELETE', '/v1/drain')).toMatchObject({ status: 409 });
      expect(await waiting).toMatchObject({ status: 200, body: { state: 'drained', remaining: 0 } });
      await stopped;
    } finally {
      await relay.close();
    }
  });

  test('does not wait for a WebSocket whose other side is frozen', async () => {
    const relay = await startRelayUnderTest();
    const wire = await startTcpProxy(relay.port);
    const member = io(`http://127.0.0.1:${wire.port}`, {
      forceNew: true,
      transports: ['websocket'],
      reconnection: false,
      auth: { token: await tokenFor('alice') },
    });
    try {
      await received(member, 'joined-groups');
      wire.freeze();
      const startedAt = performance.now();
      await relay.stop();
      // The WebSocket library itself would give it 30 s.
      expect(performance.now() - startedAt).toBeLessThan(10_000);
    } finally {
      member.close();
      await wire.close();
      await relay.close();
    }
  });
});

describe('SIGTERM with Redis frozen', () => {
  test('is not waited for step by step: the process exits 0 soon (G26)', async () => {
    const redis = await startRedis();
    const relay = await startRelayProcess({ REDIS_URL: redis.url, SHUTDOWN_DRAIN_SECONDS: '0' });
    const auth = { token: await tokenFor('alice', ['1']) };
    const member = io(relay.url, { forceNew: true, transports: ['websocket'], reconnection: false, auth });
    try {
      await received(member, 'joined-groups');
      redis.pause();
      const startedAt = performance.now();
      relay.signal('SIGTERM');
      expect(await relay.exited()).toBe(0);
      expect(performance.now() - startedAt).toBeLessThan(2_500);
    } finally {
      member.close();
      await relay.stop();
      await redis.stop();
    }
  });
});

describe('SIGTERM under load', () => {
  const CLIENTS = 200;
  let relay: ServiceProcess & { internalUrl: string };
  const sockets: Socket[] = [];
  afterEach(async () => {
    for (const socket of sockets) socket.close();
    await relay.stop();
  });

  test('moves 200 clients on both transports away, a few at a time, each served until it is told; then exits 0 (G26)', async () => {
    relay = await startRelayProcess({ SHUTDOWN_DRAIN_SECONDS: '3' });
    const clients: { seqs: number[]; endings: SessionEnding[]; gone: string | undefined }[] = [];
    // One after the other: the relay tells them in this order.
    for (let n = 0; n < CLIENTS; n += 1) {
      const transports = [n % 2 ? 'polling' : 'websocket'];
      const auth = { token: await tokenFor(`u${n}`, ['1']) };
      const socket = io(relay.url, { forceNew: true, transports, reconnection: false, auth });
      sockets.push(socket);
      const client: (typeof clients)[number] = { seqs: [], endings: [], gone: undefined };
      clients.push(client);
      socket.on('new-message', ({ seq }: GroupEvent) => client.seqs.push(seq));
      socket.on('session-ending', (ending: SessionEnding) => client.endings.push(ending));
      socket.on('disconnect', (reason) => {
        client.gone = reason;
      });
      await received(socket, 'joined-groups');
    }

    const publish = async (): Promise<unknown> =>
      // The relay may be gone before the last client has noticed.
      request(relay, 'POST', '/v1/broadcast', { groupId: '1', message: { text: 'x' } }).catch(() => undefined);
    for (let n = 0; n < 5; n += 1) await publish();
    relay.signal('SIGTERM');
    let failing: unknown;
    let refused: number | undefined;
    while (clients.some(({ gone }) => gone === undefined)) {
      await publish();
      if (refused !== undefined || !clients.some(({ endings }) => endings.length > 0)) continue;
      failing = await (await fetch(`${relay.internalUrl}/readyz`)).json();
      refused = (await fetch(`${relay.url}${HANDSHAKE}`)).status;
    }
    expect(await relay.exited()).toBe(0);
    expect([refused, failing]).toEqual([503, { status: 'unready', failing: ['draining'] }]);

    for (const { seqs, endings } of clients) {
      expect(endings).toEqual([expect.objectContaining({ code: 'SERVER_DRAINING', next: 'reconnect' })]);
      expect(endings[0]?.retryAfterMs).toBeLessThan(1_000);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    }
    // How much each has heard says when it was told.
    const heard = clients.map(({ seqs }) => seqs.length);
    expect(heard).toEqual(heard.toSorted((a, b) => a - b));
    expect(heard[0]).toBeGreaterThanOrEqual(5);
    const told = new Map<number, number>();
    for (const count of heard) told.set(count, (told.get(count) ?? 0) + 1);
    expect(told.size).toBeGreaterThan(10);
    expect(Math.max(...told.values())).toBeLessThan(CLIENTS / 2);
  });
});
