import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { AUDIENCE, type ServiceScope } from '@groupcast/shared';
import { askRaw, TEST_SECRETS } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest({
    DEMO: '1',
    SOCKET_CORS_ORIGIN: 'https://demo.example.com',
    API_INTERNAL_NAMES: 'api.corp.example.com',
  });
});
afterAll(async () => api.close());

/** The status, and the code of an error. */
async function ask(
  path: string,
  headers: Record<string, string>,
  options: { method?: string; body?: string; host?: string; port?: number } = {},
): Promise<[number | undefined, string | undefined]> {
  const { method = 'GET', body, host = '127.0.0.1', port = api.port } = options;
  return askRaw({ path, headers, method, body, host, port });
}

async function bearer(...scopes: ServiceScope[]): Promise<{ authorization: string }> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const options = { secret, scopes, subject: 'test', audience: AUDIENCE.api, ttlSeconds: 60 };
  return { authorization: `Bearer ${await signServiceToken(options)}` };
}

const SERVED = [200, undefined];
const atInternal = async (
  path: string,
  headers: Record<string, string> = {},
  options: { method?: string; body?: string } = {},
): Promise<[number | undefined, string | undefined]> => ask(path, headers, { ...options, port: api.internalPort });

describe.each(['/metrics', '/livez', '/readyz'])('%s of the internal port', (path) => {
  test.each(['localhost', '127.0.0.1', '[::1]', 'api.localhost', 'API.corp.example.com'])(
    'is shown on this machine without a token, by %s',
    async (name) => {
      expect(await atInternal(path, { host: `${name}:3003` })).toEqual(SERVED);
    },
  );

  test.each([
    { 'x-forwarded-for': '203.0.113.7' },
    { forwarded: 'for=203.0.113.7' },
    { via: '1.1 proxy' },
    { 'x-real-ip': '203.0.113.7' },
    { 'x-forwarded-proto': 'https' },
  ])('is shown to those behind a proxy on this machine with a service token only: %o (G35)', async (headers) => {
    expect(await atInternal(path, headers)).toEqual([401, 'SERVICE_TOKEN_INVALID']);
    expect(await atInternal(path, { ...headers, ...(await bearer('monitor')) })).toEqual(SERVED);
  });

  test('is not shown to a page: whose own name leads here, or of another origin (G35)', async () => {
    expect(await atInternal(path, { host: 'rebound.evil.test:3003' })).toEqual([403, 'HOST_FORBIDDEN']);
    expect(await atInternal(path, { origin: 'https://demo.example.com' })).toEqual([403, 'ORIGIN_FORBIDDEN']);
    const page = { 'sec-fetch-site': 'cross-site', ...(await bearer('admin')) };
    expect(await atInternal(path, page)).toEqual([403, 'ORIGIN_FORBIDDEN']);
  });
});

test('a request refused at the internal port is counted there', async () => {
  await atInternal('/metrics', { host: 'rebound.evil.test:3003' });
  const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
  expect(metrics).toMatch(/groupcast_api_internal_requests_refused_total\{code="HOST_FORBIDDEN"\} [1-9]/);
  expect(metrics).toMatch(/groupcast_api_tcp_connections\{port="internal",of="open"\} [1-9]/);
});

test.each<[string, ServiceScope[]]>([
  ['without a token', []],
  ['with a token of scope monitor', ['monitor']],
])('metrics are on no public port, %s, and the answer says where they are', async (_, scopes) => {
  const headers = scopes.length > 0 ? await bearer(...scopes) : {};
  const answer = await fetch(`${api.url}/metrics`, { headers });
  expect(answer.status).toBe(404);
  const { error } = (await answer.json()) as { error: { code: string; message: string } };
  expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('API_INTERNAL_PORT') });
});

describe('the routes for relays', () => {
  const body = '{"groups":["none"],"limit":1}';
  test.each(['port', 'internalPort'] as const)('is answered at either port, to relays only (%s)', async (name) => {
    const history = async (headers: object) =>
      ask(
        '/internal/history',
        { 'content-type': 'application/json', ...headers },
        { method: 'POST', body, port: api[name] },
      );
    expect(await history(await bearer('relay'))).toEqual(SERVED);
    expect(await history({})).toEqual([401, 'SERVICE_TOKEN_INVALID']);
    expect(await history(await bearer('monitor', 'admin'))).toEqual([403, 'FORBIDDEN']);
    // By the name that a cluster gives it, and through a sidecar.
    const far = { host: 'api.chat.svc.cluster.local:3003', 'x-forwarded-proto': 'http', ...(await bearer('relay')) };
    expect(await history(far)).toEqual(SERVED);
  });
});

describe.each([
  ['api', '/v1/broadcast', 'RELAY_INTERNAL_PORT'],
  ['api', '/socket.io/?EIO=4&transport=polling', 'RELAY_PORT'],
  ['api-internal', '/api/messaging/groups', 'API_PORT'],
  ['api-internal', '/v1/broadcast', 'RELAY_INTERNAL_PORT'],
])('at the port of %s, %s', (door, path, variable) => {
  test(`is not found, and the answer names ${variable}`, async () => {
    const answer = await fetch(`${door === 'api' ? api.url : api.internalUrl}${path}`, { method: 'POST' });
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain(`(${variable}, `);
  });
});

describe('the demo’s login', () => {
  const login = async (host: string): Promise<[number | undefined, string | undefined]> => {
    const headers = { host, 'content-type': 'application/json' };
    return ask('/api/demo/login', headers, { method: 'POST', body: '{"name":"Mallory"}' });
  };

  test.each(['localhost:3000', '127.0.0.1', '192.168.1.20:3000', 'demo.example.com'])('is open by %s', async (host) => {
    expect(await login(host)).toEqual([200, undefined]);
  });

  test('is not open to a page whose own name leads here', async () => {
    expect(await login('rebound.evil.test')).toEqual([403, 'HOST_FORBIDDEN']);
  });
});

describe('in development', () => {
  test('the API is found on loopback, in both families', async () => {
    expect(await ask('/livez', {})).toEqual([200, undefined]);
    const hasIpv6 = interfaces.some(({ address }) => address === '::1');
    expect(await ask('/livez', {}, { host: hasIpv6 ? '::1' : 'localhost' })).toEqual([200, undefined]);
  });

  test.each(['port', 'internalPort'] as const)('and on no other address of this machine (%s)', async (name) => {
    const addresses = interfaces.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address);
    // 127.0.0.2 is this machine too, and there where it has no network.
    for (const host of ['127.0.0.2', ...addresses]) {
      const reached = await new Promise((resolve) => {
        const socket = connect({ host, port: api[name] });
        socket.once('connect', () => resolve(`${host} is open`)).once('error', (error) => resolve(error));
        socket.once('connect', () => socket.destroy());
      });
      expect(reached).toMatchObject({ code: 'ECONNREFUSED' });
    }
  });
});
