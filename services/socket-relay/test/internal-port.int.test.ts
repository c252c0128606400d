import { AUDIENCE, type ServiceScope } from '@groupcast/shared';
import { askRaw, TEST_SECRETS } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

type Headers = Record<string, string>;

/** The status, and the code of an error. */
async function ask(
  port: number,
  path: string,
  headers: Headers = {},
  method = 'GET',
): Promise<[number | undefined, string | undefined]> {
  return askRaw({ port, path, method, headers, body: method === 'POST' ? '{}' : undefined });
}

async function bearer(...scopes: ServiceScope[]): Promise<Headers> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const options = { secret, scopes, subject: 'test', audience: AUDIENCE.relay, ttlSeconds: 60 };
  return { authorization: `Bearer ${await signServiceToken(options)}` };
}

const SERVED = [200, undefined];
const PATHS = ['/metrics', '/livez', '/readyz', '/docs/json'];

describe('the internal port on loopback', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest({ RELAY_INTERNAL_NAMES: 'relay.corp.example.com, Other.example.com' });
  });
  afterAll(async () => relay.close());

  test.each(PATHS)(
    'serves %s to this machine without a token, by address and by the names that it has',
    async (path) => {
      for (const host of [
        '127.0.0.1:3002',
        'localhost',
        '[::1]:3002',
        'relay.corp.example.com',
        'OTHER.example.com:80',
      ]) {
        expect([host, ...(await ask(relay.internalPort, path, { host }))]).toEqual([host, ...SERVED]);
      }
    },
  );

  test.each(PATHS)(
    'serves %s to no page whose own name leads here, and says why in answer, log and metrics (G35)',
    async (path) => {
      const refused = [403, 'HOST_FORBIDDEN'];
      expect(await ask(relay.internalPort, path, { host: 'rebound.evil.test:3002' })).toEqual(refused);
      // On loopback not even a name is accepted that no page can have.
      expect(await ask(relay.internalPort, path, { host: 'relay:3002' })).toEqual(refused);
      expect(relay.logged.filter(({ code }) => code === 'HOST_FORBIDDEN')).toHaveLength(1);
      expect(await (await fetch(`${relay.internalUrl}/metrics`)).text()).toMatch(
        /groupcast_relay_internal_requests_refused_total\{code="HOST_FORBIDDEN"\} [1-9]/,
      );
    },
  );

  test.each(PATHS)('serves %s to no page of another origin, with a token neither', async (path) => {
    const refused = [403, 'ORIGIN_FORBIDDEN'];
    const token = await bearer('admin');
    expect(await ask(relay.internalPort, path, { origin: 'http://localhost:5173' })).toEqual(refused);
    expect(await ask(relay.internalPort, path, { 'sec-fetch-site': 'cross-site', ...token })).toEqual(refused);
  });

  test('lets no page of another origin broadcast', async () => {
    const headers = { origin: 'https://evil.test', 'content-type': 'application/json', ...(await bearer('broadcast')) };
    expect(await ask(relay.internalPort, '/v1/broadcast', headers, 'POST')).toEqual([403, 'ORIGIN_FORBIDDEN']);
  });

  test('its own page may try things out, and a link to it may be followed', async () => {
    const host = 'localhost:3002';
    const own = { host, origin: `http://${host}`, 'content-type': 'application/json', ...(await bearer('broadcast')) };
    expect(await ask(relay.internalPort, '/v1/broadcast', own, 'POST')).toEqual([400, 'INVALID_PAYLOAD']);
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    expect((await ask(relay.internalPort, '/docs/', link))[0]).toBe(200);
  });

  test.each(PATHS)('serves %s through a proxy, and by any name, with a service token only (G35)', async (path) => {
    const forwarded = { 'x-forwarded-for': '203.0.113.7' };
    expect(await ask(relay.internalPort, path, forwarded)).toEqual([401, 'SERVICE_TOKEN_INVALID']);
    expect(await ask(relay.internalPort, path, { ...forwarded, authorization: 'Bearer x' })).toEqual([
      401,
      'SERVICE_TOKEN_INVALID',
    ]);
    const token = await bearer('monitor');
    expect(await ask(relay.internalPort, path, { ...forwarded, ...token })).toEqual(SERVED);
    expect(await ask(relay.internalPort, path, { host: 'relay.example.com', ...token })).toEqual(SERVED);
  });
});

describe('the internal port on an address that others reach', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest({ RELAY_INTERNAL_HOST: '0.0.0.0' });
  });
  afterAll(async () => relay.close());

  test.each([
    ['an address', { host: '10.0.0.11:3002' }],
    ['a service’s name without a dot', { host: 'relay:3002' }],
    ['an address, through a sidecar', { host: '10.0.0.11:3002', 'x-forwarded-proto': 'http' }],
  ])('is scraped by %s, without a token', async (_by, headers) => {
    expect(await ask(relay.internalPort, '/metrics', headers)).toEqual(SERVED);
  });

  test('is not read by a page whose own name leads here', async () => {
    expect(await ask(relay.internalPort, '/metrics', { host: 'rebound.evil.test' })).toEqual([403, 'HOST_FORBIDDEN']);
    expect(await ask(relay.internalPort, '/metrics', { host: 'evil@10.0.0.11' })).toEqual([403, 'HOST_FORBIDDEN']);
  });
});
