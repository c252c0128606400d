import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { TEST_SECRETS, tokenFor, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { Server } from 'socket.io';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const GROUPS = '/api/messaging/groups';
const BUDGET = 20;
const ADDRESS_BUDGET = 60;

let api: ApiUnderTest;
/** A relay whose clock differs from the API's, as far as the API can tell. */
const http = createServer();
const relay = new Server(http);
beforeAll(async () => {
  relay.use((_socket, next) => {
    const message = 'unable to accept the service token; its iat lies 660 s in the future';
    const data = { code: 'SERVICE_TOKEN_INVALID', message, retryable: false, details: { fault: 'iat' } };
    next(Object.assign(new Error(message), { data }));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  api = await startApiUnderTest({
    RELAY_URL: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    API_RATE_LIMIT_PER_MINUTE: String(BUDGET),
    API_ADDRESS_RATE_LIMIT_PER_MINUTE: String(ADDRESS_BUDGET),
    TRUST_PROXY: '1',
  });
});
afterAll(async () => {
  await api.close();
  await relay.close();
});

interface Asked {
  path: string;
  method?: string;
  /** The user whose token it is; without it there is none. */
  user?: string;
  headers?: Record<string, string>;
  body?: string;
}

async function ask(address: string, { path, method = 'GET', user, headers = {}, body }: Asked): Promise<Response> {
  const response = await fetch(`${api.url}${path}`, {
    method,
    headers: {
      'x-forwarded-for': address,
      ...(user === undefined ? {} : { authorization: `Bearer ${await tokenFor(user)}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  return response;
}

/** The statuses of `times` requests, one after the other. */
async function statusesOf(times: number, address: string, asked: Asked): Promise<number[]> {
  const statuses: number[] = [];
  for (let n = 0; n < times; n += 1) {
    const response = await ask(address, asked);
    await response.arrayBuffer();
    statuses.push(response.status);
  }
  return statuses;
}

let addresses = 0;
/** An address that nobody has used before. */
function freshAddress(): string {
  addresses += 1;
  return `198.51.100.${addresses}`;
}

/** Asks until it is refused with 429: a budget refills while it is spent. Answers the statuses before. */
async function statusesUntilRefused(askNext: (n: number) => Promise<Response>): Promise<number[]> {
  const statuses: number[] = [];
  for (let n = 0; n < 300; n += 1) {
    const response = await askNext(n);
    await response.arrayBuffer();
    if (response.status === 429) return statuses;
    statuses.push(response.status);
  }
  throw new Error(`never refused, but ${JSON.stringify([...new Set(statuses)])}`);
}

function expectAtLeast(count: number, status: number, statuses: readonly number[]): void {
  expect(statuses.length).toBeGreaterThanOrEqual(count);
  expect(new Set(statuses)).toEqual(new Set([status]));
}

describe('a refused request', () => {
  test.each<[string, number, Asked]>([
    ['no token', 401, { path: GROUPS }],
    ['a made-up token', 401, { path: GROUPS, headers: { authorization: 'Bearer a.b.c' } }],
    [
      'a made-up service token',
      401,
      { path: '/internal/history', method: 'POST', headers: { authorization: 'Bearer a.b.c' } },
    ],
    ['a route that does not exist', 404, { path: '/nothing' }],
    ['a page of the documentation', 200, { path: '/docs/json' }],
    ['metrics, which are on the internal port', 404, { path: '/metrics' }],
  ])('costs the address’s budget: %s', async (_, status, asked) => {
    const address = freshAddress();
    expectAtLeast(BUDGET, status, await statusesUntilRefused(async () => ask(address, asked)));
    // A request with a token is still served there, and others elsewhere.
    expect((await ask(address, { path: GROUPS, user: `neighbour-${address}` })).status).toBe(200);
    expect((await ask(freshAddress(), asked)).status).toBe(status);
  });

  test('costs the users of the address nothing of what they may ask together', async () => {
    const address = freshAddress();
    const headers = { authorization: 'Bearer a.b.c' };
    for (let n = 0; n < BUDGET * 12; n += 1) await (await ask(address, { path: GROUPS, headers })).arrayBuffer();
    const statuses = await statusesOf(20, address, { path: GROUPS, user: `neighbour-${address}` });
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  test('costs a budget before it has a route: a path that is none', async () => {
    // Such a request is not looked at for what a proxy says of its address.
    expectAtLeast(BUDGET, 400, await statusesUntilRefused(async () => ask(freshAddress(), { path: '/%' })));
  });

  test.each<[string, number, Asked]>([
    ['by validation', 400, { path: `${GROUPS}?limit=x` }],
    ['as no JSON', 400, { path: GROUPS, method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' }],
    [
      'as too large',
      413,
      { path: GROUPS, method: 'POST', headers: { 'content-type': 'application/json' }, body: 'x'.repeat(500_000) },
    ],
    ['as not found', 404, { path: `${GROUPS}/none` }],
  ])('costs the user’s budget: %s (G42)', async (what, status, asked) => {
    const user = `careless-${what.replaceAll(' ', '-')}`;
    // From everywhere: the budget is the user's.
    expectAtLeast(BUDGET, status, await statusesUntilRefused(async () => ask(freshAddress(), { ...asked, user })));
    expect((await ask(freshAddress(), { path: GROUPS, user: 'somebody-else' })).status).toBe(200);
  });
});

describe('a refusal', () => {
  test('says when to come again, in the contract’s shape and in the header, and to browsers as well', async () => {
    const address = freshAddress();
    await statusesOf(BUDGET, address, { path: GROUPS });
    const refused = await until('the budget to be spent', async () => {
      const answer = await ask(address, { path: GROUPS, headers: { origin: 'http://localhost:5173' } });
      return answer.status === 429 ? answer : undefined;
    });
    const { error } = (await refused.json()) as { error: { retryAfterMs: number } };
    expect(error).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(error.retryAfterMs).toBeGreaterThan(0);
    expect(error.retryAfterMs).toBeLessThanOrEqual(60_000 / BUDGET);
    expect(refused.headers.get('retry-after')).toBe(String(Math.ceil(error.retryAfterMs / 1_000)));
    expect(refused.headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
    const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/groupcast_api_requests_limited_total\{by="address"\} [1-9]/);
  });

  test('comes before the body is read', async () => {
    const path = `${GROUPS}/none/messages`;
    for (let n = 0; n < BUDGET; n += 1) await statusesOf(1, freshAddress(), { path: GROUPS, user: 'bodies' });
    const token = await tokenFor('bodies');
    const answer = await until('a refusal', async () => {
      const socket = connect(api.port, '127.0.0.1');
      const head = `POST ${path} HTTP/1.1\r\nhost: api\r\nx-forwarded-for: ${freshAddress()}\r\nauthorization: Bearer ${token}`;
      socket.write(`${head}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`);
      const text = await new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(bytes.toString())));
      socket.destroy();
      return text;
    });
    expect(answer).toMatch(/^HTTP\/1.1 429/);
  });
});

describe('an address', () => {
  test('is a whole /64 of IPv6', async () => {
    const one = async (n: number) => ask(`2001:db8:7:7::${n.toString(16)}`, { path: GROUPS });
    expectAtLeast(BUDGET, 401, await statusesUntilRefused(one));
    expect((await ask('2001:db8:7:8::1', { path: GROUPS })).status).toBe(401);
  });

  test('has a budget for all its users together, which is larger', async () => {
    const address = freshAddress();
    const one = async (n: number) => ask(address, { path: GROUPS, user: `one-of-many-${n}` });
    expectAtLeast(ADDRESS_BUDGET, 200, await statusesUntilRefused(one));
    expect((await ask(freshAddress(), { path: GROUPS, user: 'one-of-many-0' })).status).toBe(200);
  });

  test('is not charged for probes, nor for what relays ask', async () => {
    const address = freshAddress();
    const times = ADDRESS_BUDGET + 10;
    expect(new Set(await statusesOf(times, address, { path: '/livez' }))).toEqual(new Set([200]));
    expect(new Set(await statusesOf(times, address, { path: '/readyz' }))).toEqual(new Set([200]));
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      subject: 'relay',
      audience: 'groupcast-api',
      scopes: ['relay'],
    });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ groups: [], limit: 1 });
    const asked = { path: '/internal/history', method: 'POST', headers, body };
    expect(new Set(await statusesOf(times, address, asked))).toEqual(new Set([200]));
  });
});

describe('a user’s events that a relay brings', () => {
  const relayHeaders = async (): Promise<Record<string, string>> => {
    const options = { subject: 'relay', audience: 'groupcast-api', scopes: ['relay'] } as const;
    const token = await signServiceToken({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, ...options });
    return { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  };
  const bring = async (userId: string): Promise<{ ok: boolean; error: { code: string; retryAfterMs?: number } }> => {
    const payload = { groupId: 'none', content: 'hi' };
    const body = JSON.stringify({ userId, socketId: 's', event: 'send-message', payload, dialect: 'native' });
    const asked = { path: '/internal/events', method: 'POST', headers: await relayHeaders(), body };
    const response = await ask(freshAddress(), asked);
    expect(response.status).toBe(200);
    return (await response.json()) as Awaited<ReturnType<typeof bring>>;
  };

  test('cost the budget of the user’s own requests, either way, and nobody else’s (G65)', async () => {
    let brought = 0;
    let last = await bring('both-doors');
    for (; last.error.code === 'NOT_FOUND' && brought < 300; brought += 1) last = await bring('both-doors');
    expect(last).toEqual({
      ok: false,
      error: expect.objectContaining({ code: 'RATE_LIMITED', retryable: true, retryAfterMs: expect.any(Number) }),
    });
    expect(brought).toBeGreaterThanOrEqual(BUDGET - 1);
    expect((await ask(freshAddress(), { path: GROUPS, user: 'both-doors' })).status).toBe(429);
    expect((await bring('somebody-else')).error.code).toBe('NOT_FOUND');

    const address = freshAddress();
    await statusesUntilRefused(async () => ask(address, { path: GROUPS, user: 'over-http' }));
    expect((await bring('over-http')).error.code).toBe('RATE_LIMITED');
  });
});

describe('whose secret or clock differs is said', () => {
  const now = (): number => Math.floor(Date.now() / 1_000);
  const lines = (field: string): unknown[] => api.logged.map((line) => line[field]);

  test.each([
    [
      'user tokens of another JWT_SECRET',
      { sub: 'alice', iat: now(), exp: now() + 60 },
      'signature',
      /not made with JWT_SECRET/,
    ],
    ['user tokens of a clock that is ahead', { sub: 'alice', iat: now() + 60, exp: now() + 90 }, 'iat', /clocks/],
  ])('%s: in the log once, and in the answer in development', async (_what, claims, fault, said) => {
    const token = fault === 'signature' ? await tokenWith(claims, 'another secret') : await tokenWith(claims);
    const address = freshAddress();
    for (let n = 0; n < 2; n += 1) {
      const response = await ask(address, { path: GROUPS, headers: { authorization: `Bearer ${token}` } });
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      expect(error).toMatchObject({ code: 'TOKEN_INVALID', message: expect.stringMatching(said), details: { fault } });
    }
    const found = api.logged.filter(
      (line) => line['fault'] === fault && String(line['msg']).startsWith('a token was refused'),
    );
    expect(found).toEqual([expect.objectContaining({ address, msg: expect.stringMatching(said) })]);
  });

  test.each([
    ['another RELAY_SERVICE_SECRET', 'signature', /RELAY_SERVICE_SECRET/],
    ['a clock that is a minute ahead', 'iat', /lies \d+ s in the future.*compare the clocks/],
  ])('a relay with %s: in the log and in the answer', async (_what, fault, said) => {
    const claims = { sub: 'socket-relay', aud: 'groupcast-api', scope: 'relay' };
    const ahead = fault === 'iat' ? 60 : 0;
    const secret = fault === 'iat' ? TEST_SECRETS.RELAY_SERVICE_SECRET : 'another secret';
    const token = await tokenWith({ ...claims, iat: now() + ahead, exp: now() + ahead + 60 }, secret);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const asked = { path: '/internal/memberships', method: 'POST', headers, body: '{"users":[]}' };
    const { error } = (await (await ask(freshAddress(), asked)).json()) as { error: object };
    const refused = { code: 'SERVICE_TOKEN_INVALID', message: expect.stringMatching(said), details: { fault } };
    expect(error).toMatchObject(refused);
    expect(lines('msg')).toContainEqual(expect.stringMatching(new RegExp(`^a relay’s service token .*${said.source}`)));
  });

  test('a relay that refuses the API for its clock: it says to compare clocks, and not secrets', async () => {
    await until('the line', () =>
      lines('msg').includes('the relay refuses this API: compare the clocks of the two machines'),
    );
  });
});

describe('a process that is late', () => {
  /** Two turns of the event loop, long enough for the second one to hold nothing else to measure. */
  async function beLate(): Promise<void> {
    for (let turn = 0; turn < 2; turn += 1) {
      await new Promise<void>((resolve) => {
        setImmediate(() => {
          for (const end = performance.now() + 1_200; performance.now() < end; );
          resolve();
        });
      });
    }
  }

  test('refuses a burst, and is alive, ready, measured and documented all the same', async () => {
    const [ofUser, ofProbes] = [freshAddress(), freshAddress()];
    const paths = ['/livez', '/readyz', '/docs/json'];
    const answers = await until('a burst to be refused', async () => {
      await beLate();
      const asked = [...[1, 2].map(() => ({ path: GROUPS, user: 'late' })), ...paths.map((path) => ({ path }))];
      const answered = await Promise.all([
        ...asked.map(async (each) => ask('user' in each ? ofUser : ofProbes, each)),
        fetch(`${api.internalUrl}/metrics`),
      ]);
      const statuses = answered.map(({ status }) => status);
      return statuses.slice(0, 2).includes(503) && statuses.slice(2);
    });
    expect(answers).toEqual([200, 200, 200, 200]);
  });
});
