import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { AUDIENCE, type ServiceScope } from '@groupcast/shared';
import { TEST_SECRETS } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest({ DEMO: '1', SOCKET_CORS_ORIGIN: 'https://demo.example.com' });
});
afterAll(async () => api.close());

/** The status, and the code of an error. */
async function ask(
  path: string,
  headers: Record<string, string>,
  options: { method?: string; body?: string; host?: string } = {},
): Promise<[number | undefined, string | undefined]> {
  const { method = 'GET', body, host = '127.0.0.1' } = options;
  return new Promise((resolve, reject) => {
    const asking = request({ host, port: api.port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const code = text.startsWith('{"error"') ? /"code":"(\w+)"/.exec(text)?.[1] : undefined;
        resolve([response.statusCode, code]);
      });
    });
    asking.once('error', reject).end(body);
  });
}

async function bearer(...scopes: ServiceScope[]): Promise<{ authorization: string }> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const options = { secret, scopes, subject: 'test', audience: AUDIENCE.api, ttlSeconds: 60 };
  return { authorization: `Bearer ${await signServiceToken(options)}` };
}

describe('/metrics', () => {
  test.each(['localhost', '127.0.0.1', '[::1]', 'api.localhost'])('is shown on this machine, by %s', async (name) => {
    expect(await ask('/metrics', { host: `${name}:${api.port}` })).toEqual([200, undefined]);
  });

  test.each([
    { 'x-forwarded-for': '203.0.113.7' },
    { forwarded: 'for=203.0.113.7' },
    { via: '1.1 proxy' },
    { 'x-real-ip': '203.0.113.7' },
    { 'x-forwarded-proto': 'https' },
  ])('is not shown to those behind a proxy on this machine: %o', async (headers) => {
    expect(await ask('/metrics', headers)).toEqual([401, 'SERVICE_TOKEN_INVALID']);
  });

  test('is not shown to a page whose own name leads here', async () => {
    expect(await ask('/metrics', { host: `rebound.evil.test:${api.port}` })).toEqual([401, 'SERVICE_TOKEN_INVALID']);
  });

  test('is not shown to a page of another origin', async () => {
    expect(await ask('/metrics', { origin: 'https://demo.example.com' })).toEqual([401, 'SERVICE_TOKEN_INVALID']);
    expect((await ask('/metrics', { 'sec-fetch-site': 'cross-site' }))[0]).toBe(401);
  });

  test('is shown anywhere with a service token of scope monitor or admin, and with no other', async () => {
    const proxied = { 'x-forwarded-for': '203.0.113.7', host: 'api.example.com' };
    expect(await ask('/metrics', { ...proxied, ...(await bearer('monitor')) })).toEqual([200, undefined]);
    expect(await ask('/metrics', { ...proxied, ...(await bearer('admin')) })).toEqual([200, undefined]);
    expect(await ask('/metrics', { ...proxied, ...(await bearer('relay', 'broadcast')) })).toEqual([403, 'FORBIDDEN']);
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

  test('and on no other address of this machine', async () => {
    const addresses = interfaces.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address);
    // 127.0.0.2 is this machine too, and there where it has no network.
    for (const host of ['127.0.0.2', ...addresses]) {
      const reached = await new Promise((resolve) => {
        const socket = connect({ host, port: api.port });
        socket.once('connect', () => resolve(`${host} is open`)).once('error', (error) => resolve(error));
        socket.once('connect', () => socket.destroy());
      });
      expect(reached).toMatchObject({ code: 'ECONNREFUSED' });
    }
  });
});
