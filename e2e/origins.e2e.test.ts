import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServiceProcess, startApiProcess, startRelayProcess } from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

interface Cors {
  allowed: string | null;
  credentials: string | null;
  varies: boolean;
  /** Only a preflight has it. */
  methods?: string | undefined;
  maxAge?: string | undefined;
}

/** The methods and headers that an allowed page may use, and for how long a browser need not ask again. */
const PREFLIGHT = { methods: 'GET,HEAD,POST,PUT,PATCH,DELETE', maxAge: '600' };

/** The CORS headers for `origin`, of the preflight and of the request itself. */
async function corsOf(url: string, origin: string, method: string): Promise<Cors> {
  const preflight = { 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'authorization' };
  const headers = { origin, ...(method === 'OPTIONS' ? preflight : {}) };
  const response = await fetch(url, { method, headers });
  await response.body?.cancel();
  const vary = (response.headers.get('vary') ?? '').toLowerCase().split(/, */);
  return {
    allowed: response.headers.get('access-control-allow-origin'),
    credentials: response.headers.get('access-control-allow-credentials'),
    varies: vary.includes('origin'),
    ...(method === 'OPTIONS'
      ? {
          methods: response.headers.get('access-control-allow-methods')?.replaceAll(' ', ''),
          maxAge: response.headers.get('access-control-max-age') ?? undefined,
        }
      : {}),
  };
}

const NOBODY: Cors = { allowed: null, credentials: 'true', varies: true };
/** This origin with credentials, and another answer for others. */
const only = (origin: string): Cors => ({ allowed: origin, credentials: 'true', varies: true });
/** Every origin without credentials, and one answer for all. */
const EVERYBODY: Cors = { allowed: '*', credentials: null, varies: false };

describe.each([
  [
    'the default',
    {},
    {
      'http://localhost:5173': only('http://localhost:5173'),
      'https://127.0.0.1': only('https://127.0.0.1'),
      'http://[::1]:8080': only('http://[::1]:8080'),
      'http://localhost.evil.test': NOBODY,
      null: NOBODY,
    },
  ],
  [
    'a list',
    {
      SOCKET_CORS_ORIGIN:
        'https://App.example.com/,http://example.com:80,https://*.previews.example.com,capacitor://localhost',
    },
    {
      'https://pr-7.previews.example.com': only('https://pr-7.previews.example.com'),
      'capacitor://localhost': only('capacitor://localhost'),
      'https://a.pr-7.previews.example.com': NOBODY,
      'ionic://localhost': NOBODY,
      'https://app.example.com': only('https://app.example.com'),
      'http://example.com': only('http://example.com'),
      'http://app.example.com': NOBODY,
      'https://app.example.com:8443': NOBODY,
      'https://app.example.com.evil.test': NOBODY,
      'http://localhost:5173': NOBODY,
      null: NOBODY,
    },
  ],
  ['*', { SOCKET_CORS_ORIGIN: '*' }, { 'https://anybody.test': EVERYBODY, null: EVERYBODY }],
])('with %s', (_name, env, answers) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-origins-'));
  let services: ServiceProcess[] = [];
  let doors: string[] = [];
  beforeAll(async () => {
    const [api, relay] = await Promise.all([
      startApiProcess({ DATA_DIR: dataDir, RELAY_URL: 'http://127.0.0.1:9', ...env }),
      startRelayProcess(env),
    ]);
    services = [api, relay];
    doors = [`${api.url}/livez`, `${relay.url}/socket.io/?EIO=4&transport=polling`];
  });
  afterAll(async () => {
    for (const service of services) await service.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  test.each(['GET', 'OPTIONS'])(
    'API and relay answer the same to each origin, and no cache mistakes one for another (%s) (G36)',
    async (method) => {
      const preflight = method === 'OPTIONS' ? PREFLIGHT : {};
      for (const [origin, answer] of Object.entries(answers)) {
        for (const door of doors)
          expect([door, origin, await corsOf(door, origin, method)]).toEqual([
            door,
            origin,
            { ...answer, ...preflight },
          ]);
      }
    },
  );
});

describe('in production', () => {
  let services: ServiceProcess[] = [];
  afterEach(async () => {
    for (const service of services.splice(0)) await service.stop();
    services = [];
  });

  test.each([
    ['*', 'SOCKET_CORS_ORIGIN is *: the page of any site may use this service; list your origins instead'],
    ['', 'SOCKET_CORS_ORIGIN is not set: browsers will be refused'],
  ])('both say at start what SOCKET_CORS_ORIGIN=%s means', async (origin, said) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-origins-'));
    const relayUrl = 'http://127.0.0.1:9';
    const env = { NODE_ENV: 'production', SOCKET_CORS_ORIGIN: origin };
    const database = { EMBEDDED_DATABASE: '1', DATA_DIR: dataDir };
    services.push(
      ...(await Promise.all([
        startRelayProcess({ ...env, RELAY_WORKERS: '2' }),
        startApiProcess({ ...env, ...database, RELAY_URL: relayUrl, RELAY_PUBLIC_URL: relayUrl }),
      ])),
    );
    // The line comes once, whatever the number of workers.
    expect(services.map((service) => service.output().split(said).length - 1)).toEqual([1, 1]);
    rmSync(dataDir, { recursive: true, force: true });
  });
});
