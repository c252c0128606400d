import { AUDIENCE, type ServiceScope } from '@groupcast/shared';
import { askRaw, openRaw, received, TEST_SECRETS, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBriefReadiness } from '../src/public-http/brief-readiness.ts';
import { createPublisherBudgets } from '../src/public-http/publisher-budgets.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

let relay: RelayUnderTest;
beforeAll(async () => {
  relay = await startRelayUnderTest({ PUBLIC_BROADCAST_API: '1', RELAY_WS_PATH: '/ws' });
});
afterAll(async () => relay.close());

async function tokenOf(
  scopes: ServiceScope[] = ['broadcast'],
  more: Partial<Parameters<typeof signServiceToken>[0]> = {},
): Promise<string> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  return signServiceToken({ secret, scopes, subject: 'test', audience: AUDIENCE.relay, ttlSeconds: 60, ...more });
}

type Answer = [
  status: number,
  body: { error?: { code: string; message: string; retryAfterMs?: number } } & Record<string, unknown>,
];

async function ask(
  url: string,
  {
    token,
    body,
    method = body === undefined ? 'GET' : 'POST',
    headers = {},
  }: {
    token?: string;
    body?: unknown;
    method?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<Answer> {
  const answer = await fetch(url, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return [answer.status, (await answer.json()) as Answer[1]];
}
const codeOf = ([status, { error }]: Answer): unknown[] => [status, error?.code];

describe.each(['internal', 'public'] as const)('the broadcast API on the %s port', (port) => {
  const urlOf = (path: string): string => `${port === 'public' ? relay.url : relay.internalUrl}${path}`;
  const group = `of-${port}`;
  const post = async (path: string, body: unknown): Promise<Answer> =>
    ask(urlOf(path), { token: await tokenOf(), body });
  const get = async (path: string, scope: ServiceScope = 'broadcast'): Promise<Answer> =>
    ask(urlOf(path), { token: await tokenOf([scope]) });

  test('sends to members, answers whom it has reached, and what the log has', async () => {
    const member = await relay.member('alice', [group]);
    const heard = received(member, 'new-message');
    const message = { id: 'm1', content: 'hi' };
    const [status, answer] = await post('/v1/broadcast', {
      groupId: group,
      message,
      expectedUserIds: ['alice', 'bob'],
    });
    expect([status, answer]).toEqual([
      200,
      {
        ok: true,
        id: 'm1',
        groupId: group,
        position: { epoch: expect.any(String), seq: 1 },
        duplicate: false,
        recipients: { connections: 1, nodes: 1 },
        warnings: [],
        delivery: { proven: ['alice'], pending: [], absent: [{ userId: 'bob', why: 'offline' }] },
      },
    ]);
    const event = { id: 'm1', content: 'hi', groupId: group, ...(answer['position'] as object) };
    expect(await heard).toEqual(event);
    expect((await post('/v1/broadcast', { groupId: group, message }))[1]).toMatchObject({ duplicate: true });
    expect(
      (await post('/v1/batch', { items: [{ groupId: group, message: { n: 2 } }, { groupId: '' }] }))[1],
    ).toMatchObject({
      results: [
        { ok: true, position: { seq: 2 } },
        { ok: false, error: { code: 'INVALID_PAYLOAD' } },
      ],
    });
    const seen = { groupId: group, id: 'm1', expectedUserIds: ['alice'], withinMs: 1_000 };
    expect((await post('/v1/deliveries', seen))[1]).toEqual({
      ok: true,
      delivery: { proven: ['alice'], pending: [], absent: [] },
    });
    expect((await get(`/v1/groups/${group}/history?limit=1`))[1]).toMatchObject({ ok: true, more: true });
    expect((await get(`/v1/groups/${group}/presence`))[1]).toMatchObject({
      numUsers: 1,
      users: [{ userId: 'alice', connections: 1 }],
    });
    expect((await get(`/v1/traces?groupId=${group}&id=m1&userIds=alice`, 'monitor'))[1]).toMatchObject({
      recipients: [{ userId: 'alice', state: 'proven' }],
    });
    member.close();
  });

  test('changes members, notifies them, and ends their sessions', async () => {
    const member = await relay.member('carol');
    const joined = received(member, 'joined-groups');
    expect(await post('/v1/members/add', { groupId: group, userIds: ['carol'] })).toEqual([200, { ok: true }]);
    await joined;
    const told = received(member, 'news');
    expect((await post('/v1/notify', { userIds: ['carol'], event: 'news', data: { n: 1 } }))[1]).toEqual({
      ok: true,
      recipients: 1,
    });
    expect(await told).toEqual({ n: 1 });
    const left = received(member, 'left-groups');
    expect(await post('/v1/members/remove', { groupId: group, userIds: ['carol'] })).toEqual([200, { ok: true }]);
    await left;
    const cursors = [{ userId: 'carol', groupId: group, read: 1 }];
    expect(await post('/v1/cursors', { cursors })).toEqual([200, { ok: true }]);
    const gone = received(member, 'disconnect');
    expect((await post('/v1/disconnect', { userIds: ['carol'], code: 'TOKEN_REVOKED' }))[1]).toEqual({
      ok: true,
      connections: 1,
    });
    await gone;
  });

  test.each([
    ['no token', undefined, [401, 'SERVICE_TOKEN_INVALID']],
    ['a token for the API', { audience: AUDIENCE.api }, [401, 'SERVICE_TOKEN_INVALID']],
    ['a token of another secret', { secret: 'x'.repeat(32) }, [401, 'SERVICE_TOKEN_INVALID']],
    ['a token of another scope', { scopes: ['monitor'] as ServiceScope[] }, [403, 'FORBIDDEN']],
  ])('refuses %s', async (_what, options, refused) => {
    const token = options && (await tokenOf(undefined, options));
    const body = { groupId: group, message: {} };
    expect(codeOf(await ask(urlOf('/v1/broadcast'), { body, ...(token ? { token } : {}) }))).toEqual(refused);
  });

  test('refuses a body that is too large, is no JSON, or is no broadcast', async () => {
    const large = { groupId: group, message: { text: 'x'.repeat(1_200_000) } };
    expect(codeOf(await post('/v1/broadcast', large))).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    expect(codeOf(await post('/v1/broadcast', { ...large, message: { text: 'x'.repeat(70_000) } }))).toEqual([
      413,
      'PAYLOAD_TOO_LARGE',
    ]);
    expect(codeOf(await post('/v1/broadcast', { groupId: group }))).toEqual([400, 'INVALID_PAYLOAD']);
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${await tokenOf()}` };
    const answer = await fetch(urlOf('/v1/broadcast'), { method: 'POST', headers, body: '{' });
    expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([
      400,
      'INVALID_PAYLOAD',
    ]);
  });

  test('refuses pages of other origins, with a token too', async () => {
    const headers = { origin: 'https://app.example.com' };
    const body = { groupId: group, message: {} };
    expect(codeOf(await ask(urlOf('/v1/broadcast'), { token: await tokenOf(), body, headers }))).toEqual([
      403,
      'ORIGIN_FORBIDDEN',
    ]);
  });
});

describe('the public port', () => {
  test.each(['/metrics', '/monitor', '/docs', '/v1/info', '/v1/drain'])(
    'has no %s, with every scope neither',
    async (path) => {
      const token = await tokenOf(['broadcast', 'monitor', 'admin']);
      const [status, { error }] = await ask(`${relay.url}${path}`, { token });
      expect([status, error?.code]).toEqual([404, 'NOT_FOUND']);
      expect(error?.message).toContain(path === '/monitor' ? '/socket.io/' : 'internal port of the relay');
    },
  );

  test('reports refusals by code: in the metrics, and once a minute and address in log and monitor', async () => {
    const watched = await startRelayUnderTest({ PUBLIC_BROADCAST_API: '1' });
    const monitor = watched.client({ token: await tokenOf(['monitor']), type: 'monitor' });
    await received(monitor, 'monitor-snapshot');
    const told = received(monitor, 'monitor-event');
    for (let count = 0; count < 3; count += 1) {
      const answer = await ask(`${watched.url}/v1/notify`, { body: {}, token: await tokenOf(['admin']) });
      expect(codeOf(answer)).toEqual([403, 'FORBIDDEN']);
    }
    const message =
      'request to the broadcast API refused: unable to serve the request; the token lacks the scope "broadcast" (from 127.0.0.1)';
    expect(await told).toMatchObject({ kind: 'refused', code: 'FORBIDDEN', message });
    expect(watched.logged.filter(({ msg }) => msg === message)).toEqual([
      expect.objectContaining({ level: 40, code: 'FORBIDDEN' }),
    ]);
    expect(await (await fetch(`${watched.internalUrl}/metrics`)).text()).toContain(
      'groupcast_relay_public_api_requests_refused_total{code="FORBIDDEN"} 3',
    );
    await watched.close();
  });

  test('takes a request that wishes for HTTP/2, as Java’s client sends it, for what it is, and a WebSocket there neither', async () => {
    const connection = openRaw(relay.port);
    const body = JSON.stringify({ groupId: 'java', message: { id: 'j1' } });
    const wish =
      'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n';
    connection.socket.write(
      `POST /v1/broadcast HTTP/1.1\r\nhost: x\r\n${wish}authorization: Bearer ${await tokenOf()}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until('the answer', () => connection.text().includes('"id":"j1"'));
    const webSocket = openRaw(relay.port);
    webSocket.socket.write(
      'GET /v1/broadcast HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await until('the refusal', () => webSocket.text().includes('NOT_FOUND'));
    connection.socket.destroy();
    webSocket.socket.destroy();
  });

  test('keeps no byte of a body before the token is verified, and ends the connection of a request that it refuses', async () => {
    const { port } = new URL(relay.url);
    const stranger = openRaw(Number(port));
    stranger.socket.write(
      'POST /v1/broadcast HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{',
    );
    await until('the refusal', () => stranger.isClosed());
    expect(stranger.text()).toMatch(/^HTTP\/1\.1 401 [\s\S]*connection: close[\s\S]*SERVICE_TOKEN_INVALID/);
  });

  test('has nothing at a path without a route, before a byte of the body, and counts who asks as a stranger', async () => {
    const stranger = openRaw(relay.port);
    stranger.socket.write(
      'POST /v1/nope HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{bad',
    );
    await until('the refusal', () => stranger.isClosed());
    expect(stranger.text()).toMatch(/^HTTP\/1\.1 404 [\s\S]*connection: close[\s\S]*NOT_FOUND/);
    expect(await (await fetch(`${relay.internalUrl}/metrics`)).text()).toMatch(
      /public_api_requests_refused_total\{code="NOT_FOUND"\} [1-9]/,
    );
  });

  test('keeps the connection of a publisher from one request to the next, and of a refused one that has come whole', async () => {
    const connection = openRaw(relay.port);
    const token = await tokenOf();
    const body = JSON.stringify({ groupId: 'kept', message: { id: 'k1' } });
    const head = (path: string): string =>
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    connection.socket.write(head('/v1/broadcast'));
    await until('the answer', () => connection.text().includes('"id":"k1"'));
    connection.socket.write(head('/v1/unknown'));
    await until('the refusal', () => connection.text().includes('NOT_FOUND'));
    connection.socket.write(head('/v1/broadcast'));
    await until('the duplicate', () => connection.text().includes('"duplicate":true'));
    connection.socket.destroy();
  });

  test('serves Socket.IO and the raw door beside it, and a broadcast of the whole size while a body comes slowly', async () => {
    const member = await relay.member('dave', ['beside'], { transports: ['polling'] });
    const slow = openRaw(relay.port);
    const token = await tokenOf();
    slow.socket.write(
      `POST /v1/broadcast HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`,
    );
    const heard = received<{ text: string }>(member, 'new-message');
    const message = { text: 'x'.repeat(60_000) };
    expect((await ask(`${relay.url}/v1/broadcast`, { token, body: { groupId: 'beside', message } }))[0]).toBe(200);
    expect((await heard).text).toHaveLength(60_000);
    expect(await askRaw({ port: relay.port, path: '/ws' })).toEqual([426, expect.any(String)]);
    expect(slow.isClosed()).toBe(false);
    slow.socket.destroy();
    member.close();
  });
});

describe('without PUBLIC_BROADCAST_API', () => {
  test('the public port has no broadcast API, and says where it is: in the answer, in log and monitor', async () => {
    const off = await startRelayUnderTest();
    const options = { token: await tokenOf(), body: { groupId: 'g', message: {} } };
    const [status, { error }] = await ask(`${off.url}/v1/broadcast`, options);
    expect([status, error?.code]).toEqual([404, 'NOT_FOUND']);
    expect(error?.message).toBe(
      'unable to serve the request; it is served at the internal port of the relay (RELAY_INTERNAL_PORT, by default 3002), and, for back ends, here with PUBLIC_BROADCAST_API=1',
    );
    expect(off.logged.filter(({ msg }) => msg.includes('PUBLIC_BROADCAST_API=1'))).toHaveLength(1);
    // The probes of a host with one port are there all the same, and say nothing of what is inside.
    expect(await ask(`${off.url}/readyz`)).toEqual([200, { status: 'ready', service: 'socket-relay' }]);
    expect((await fetch(`${off.url}/livez`, { method: 'HEAD' })).status).toBe(200);
    await off.close();
  });
});

describe('readiness on the public port', () => {
  function response() {
    const said: unknown[] = [];
    const it = { writeHead: (status: number) => said.push(status), end: (text: string) => said.push(JSON.parse(text)) };
    return { it: it as unknown as Parameters<ReturnType<typeof createBriefReadiness>>[0], said };
  }

  test('names no part that fails, and asks the machine no more than twice a second', async () => {
    let [asked, now] = [0, 0];
    const failing: string[] = [];
    const report = async () => {
      asked += 1;
      return { failing, degraded: ['back-end'] };
    };
    const answer = createBriefReadiness({ report }, () => now);
    const ask3 = async (): Promise<unknown[]> => {
      const { it, said } = response();
      await Promise.all([answer(it), answer(it), answer(it)]);
      return said.slice(0, 2);
    };
    expect(await ask3()).toEqual([200, { status: 'ready', service: 'socket-relay' }]);
    failing.push('redis');
    now = 499;
    expect([await ask3(), asked]).toEqual([[200, { status: 'ready', service: 'socket-relay' }], 1]);
    now = 500;
    expect([await ask3(), asked]).toEqual([[503, { status: 'unready', service: 'socket-relay' }], 2]);
  });

  test('is not there while the workers of the machine cannot be asked', async () => {
    const { it, said } = response();
    await createBriefReadiness({ report: async () => Promise.reject(new Error('gone')) })(it);
    expect(said).toEqual([503, { status: 'unready', service: 'socket-relay' }]);
  });
});

describe('the budgets of publishers', () => {
  const times = (count: number, work: () => void): number => {
    for (let done = 0; done < count; done += 1) {
      try {
        work();
      } catch (error) {
        expect(error).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
        return done;
      }
    }
    return count;
  };

  test('are of one back end, of all back ends of an address, and of strangers apart from both', () => {
    const budgets = createPublisherBudgets({ requestsPerMinute: 10 }, () => 0);
    const known = (address: string, subject: string) => () => budgets.countPublisher(address, subject);
    expect(times(10_000, () => budgets.countStranger('::ffff:192.0.2.1'))).toBe(600);
    expect(times(1, () => budgets.countStranger('192.0.2.1'))).toBe(0);
    expect(times(100, known('192.0.2.1', 'a'))).toBe(10);
    expect(times(100, known('192.0.2.2', 'a'))).toBe(0);
    // The requests of "a" that were refused have cost the address nothing.
    const others = Array.from({ length: 10 }, (_, index) => times(10, known('192.0.2.1', `b${index}`)));
    expect(others).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 0]);
    expect(times(1, known('192.0.2.2', 'b9'))).toBe(1);
  });

  test('are spent by requests, and 429 says when to come again', async () => {
    const tight = await startRelayUnderTest({
      PUBLIC_BROADCAST_API: '1',
      PUBLIC_BROADCAST_RATE_LIMIT_PER_MINUTE: '2',
    });
    const presence = `${tight.url}/v1/groups/g/presence`;
    const token = await tokenOf();
    for (const status of [200, 200, 429]) expect((await ask(presence, { token }))[0]).toBe(status);
    const limited = await fetch(presence, { headers: { authorization: `Bearer ${token}` } });
    expect([limited.status, Number(limited.headers.get('retry-after')) > 0]).toEqual([429, true]);
    // Another back end has its own, and strangers use up nobody's.
    expect((await ask(presence, { token: await tokenOf(undefined, { subject: 'other' }) }))[0]).toBe(200);
    expect(codeOf(await ask(presence))).toEqual([401, 'SERVICE_TOKEN_INVALID']);
    expect(tight.logged.filter(({ code }) => code === 'RATE_LIMITED')).toHaveLength(1);
    // The internal port has no such bound: it is the machine's own.
    expect((await ask(`${tight.internalUrl}/v1/groups/g/presence`, { token }))[0]).toBe(200);
    await tight.close();
  });
});
