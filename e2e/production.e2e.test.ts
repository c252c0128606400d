import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ConfigurationError } from '../packages/service-kit/src/index.ts';
import { readApiConfig } from '../services/api/src/config.ts';
import { readRelayConfig } from '../services/socket-relay/src/config.ts';

type Variables = Readonly<Record<string, string | undefined>>;

const API: Variables = {
  NODE_ENV: 'production',
  JWT_SECRET: 'a-user-secret-of-32-bytes-or-more-1',
  RELAY_SERVICE_SECRET: 'a-service-secret-of-32-bytes-or-more',
  SOCKET_CORS_ORIGIN: 'https://app.test',
  DATABASE_URL: 'postgres://db.test/chat',
  RELAY_URL: 'https://relay.internal.test',
  RELAY_PUBLIC_URL: 'https://relay.test',
};
const RELAY: Variables = { ...API, API_URL: 'https://api.internal.test' };

interface Outcome {
  problems: readonly string[];
  warnings: readonly string[];
}

function outcome(read: (source: Variables) => { warnings: readonly string[] }, variables: Variables): Outcome {
  try {
    return { problems: [], warnings: read(variables).warnings };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { problems: error.problems, warnings: [] };
  }
}
const ofApi = (changes: Variables = {}): Outcome => outcome(readApiConfig, { ...API, ...changes });
const ofRelay = (changes: Variables = {}): Outcome => outcome(readRelayConfig, { ...RELAY, ...changes });

/**
 * The meaning of every variable in production where it is not set. `required`: refused, by the service named. `warned`: allowed, and said at
 * start. `off`: its feature is off. `sane`: its default is as good in production, for the reason given.
 */
const DECISIONS: Readonly<Record<string, string>> = {
  NODE_ENV: 'sane: unset is development, and every misspelling of production is refused',
  API_HOST: 'sane: every address, which is what a server is for',
  API_PORT: 'sane: a taken port ends the start',
  PORT: 'sane: an alias',
  API_INTERNAL_PORT: 'sane: a taken port ends the start',
  API_INTERNAL_HOST: 'sane: loopback, the closest',
  API_INTERNAL_NAMES: 'off',
  API_INTERNAL_URL: 'sane: API_URL, where the same is asked',
  FORWARD_EVENTS: 'off',
  RELAY_DIALECT: 'off',
  RELAY_DIALECT_BY_HOST: 'off',
  RELAY_DIALECTS: 'off',
  RELAY_HOST: 'sane: every address, which is what a server is for',
  RELAY_PORT: 'sane: a taken port ends the start',
  RELAY_INTERNAL_PORT: 'sane: a taken port ends the start',
  RELAY_INTERNAL_HOST: 'sane: loopback, the closest',
  RELAY_INTERNAL_NAMES: 'off',
  PUBLIC_BROADCAST_API: 'off',
  RELAY_WORKERS: 'sane: one process',
  RELAY_URL: 'required by api',
  RELAY_PUBLIC_URL: 'required by api',
  API_RELAY_PROXY: 'off',
  API_DIALECTS: 'off',
  RELAY_WS_PATH: 'off',
  API_URL: 'required by relay',
  DEMO: 'off',
  LOG_LEVEL: 'sane: info',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'off, and warned with plain http',
  SHUTDOWN_DRAIN_SECONDS: 'sane: what Docker allows',
  DATABASE_URL: 'required by api',
  ICE_STUN_URLS: 'off',
  ICE_TURN_URLS: 'off',
  ICE_TURN_SECRET: 'off',
  ICE_TURN_TTL_SECONDS: 'sane: a bound',
  ABSENT_WEBHOOK_URL: 'off',
  ABSENT_WEBHOOK_SECRET: 'off',
  ABSENT_AFTER_MS: 'sane: a bound',
  RETENTION_DAYS: 'sane: nothing is removed that nobody asked to be removed',
  DATABASE_LISTEN_URL: 'sane: where everything else is asked',
  DATABASE_PREPARED_STATEMENTS: 'sane: decided by whether a pooler answers',
  EMBEDDED_DATABASE: 'off',
  DATA_DIR: 'sane: nothing is kept there, unless EMBEDDED_DATABASE asks for it by name',
  REDIS_URL: 'sane: one relay needs none, and several cannot know of each other',
  REDIS_PREFIX: 'sane: a deployment that meets another one under it does not start',
  RELAY_EMITTER: 'off',
  NODE_LEASE_SECONDS: 'sane: a bound',
  RELAY_CANARY_SECONDS: 'sane: on',
  JWT_SECRET: 'required by both',
  JWT_SECRET_PREVIOUS: 'off',
  JWT_JWKS_URL: 'off',
  JWT_ISSUER: 'off',
  JWT_AUDIENCE: 'off, and warned with JWT_JWKS_URL',
  AUTH_BY: 'sane: tokens',
  AUTH_TOKEN_FROM: 'sane: auth, and header for the API',
  JWT_USER_CLAIM: 'sane: sub',
  JWT_GROUPS_CLAIM: 'off',
  CONNECTION_TOKEN_SECRET: 'sane: JWT_SECRET, which is checked',
  CONNECTION_TOKEN_SECRET_PREVIOUS: 'off',
  RELAY_SERVICE_SECRET: 'required by both',
  RELAY_SERVICE_SECRET_PREVIOUS: 'off',
  SOCKET_CORS_ORIGIN: 'warned by both',
  CLIENT_URL: 'sane: an alias',
  TRUST_PROXY: 'sane: nobody is believed',
  GROUP_INVITES: 'sane: open, and bounded per pair',
};
/** Limits have one default everywhere: a bound does not depend on the environment. */
const LIMIT = /_(?:BYTES|MS|SECONDS|SIZE|SECOND|MINUTE|HOUR|CONNECTION|USER|ENTRIES)$|^FANOUT$|^MAX_/;

describe('in production', () => {
  test('everything required is set here, and nothing is said about it', () => {
    expect(ofApi()).toEqual({ problems: [], warnings: [] });
    expect(ofRelay()).toEqual({ problems: [], warnings: [] });
    expect(ofRelay({ API_URL: '' })).toEqual({ problems: [], warnings: [] });
  });

  test('one URL for both needs no second one to be named', () => {
    const one = { API_RELAY_PROXY: '1', RELAY_PUBLIC_URL: undefined };
    expect(ofApi(one)).toEqual({ problems: [], warnings: [] });
    expect(readApiConfig({ ...API, ...one }).relayPublicUrl).toBeUndefined();
    expect(readApiConfig({ ...API, API_RELAY_PROXY: '1' }).relayPublicUrl).toBe(API['RELAY_PUBLIC_URL']);
  });

  test('everything that is missing is named at once (G34)', () => {
    const nothing = Object.fromEntries(Object.keys(RELAY).map((name) => [name, undefined]));
    expect(ofApi({ ...nothing, NODE_ENV: 'production' }).problems).toEqual([
      'JWT_SECRET is missing',
      'RELAY_SERVICE_SECRET is missing',
      'RELAY_URL must be set with NODE_ENV=production',
      'RELAY_PUBLIC_URL must be set with NODE_ENV=production',
      'DATABASE_URL must be set, or EMBEDDED_DATABASE=1 and DATA_DIR for the embedded database',
    ]);
    expect(ofRelay({ ...nothing, NODE_ENV: 'production' }).problems).toEqual([
      'JWT_SECRET is missing',
      'RELAY_SERVICE_SECRET is missing',
      'API_URL must be set with NODE_ENV=production, or be empty where there is no API',
    ]);
  });

  const variables = [...readFileSync('.env.example', 'utf8').matchAll(/^# ([A-Z][A-Z_]+)=/gm)].map(
    ([, name = '']) => name,
  );

  test('somebody has decided about the default of every variable', () => {
    expect(variables.length).toBeGreaterThan(40);
    expect(variables.filter((name) => !(name in DECISIONS) && !LIMIT.test(name))).toEqual([]);
  });

  test.each(variables)('%s may be missing as far as was decided', (name) => {
    const decision = DECISIONS[name] ?? 'sane: a bound';
    if (name === 'NODE_ENV') return;
    const [api, relay] = [ofApi({ [name]: undefined }), ofRelay({ [name]: undefined })];
    const names = (texts: readonly string[]): boolean => texts.some((text) => text.startsWith(name));
    expect({
      api: names(api.problems),
      relay: names(relay.problems),
      warned: names(api.warnings) && names(relay.warnings),
    }).toEqual({
      api: /^required by (?:api|both)/.test(decision),
      relay: /^required by (?:relay|both)/.test(decision),
      warned: decision.startsWith('warned'),
    });
  });

  test.each(['prod', 'PROD', 'Production', 'PRODUCTION'])(
    'NODE_ENV=%s is refused: it would be development',
    (NODE_ENV) => {
      const problem = `NODE_ENV must be spelled "production", got "${NODE_ENV}"`;
      expect(ofApi({ NODE_ENV }).problems).toEqual([problem]);
      expect(ofRelay({ NODE_ENV }).problems).toEqual([problem]);
    },
  );

  test('NODE_ENV may end in a space, as Windows sets it before &&', () => {
    expect(readRelayConfig({ ...RELAY, NODE_ENV: 'production ' }).production).toBe(true);
  });

  test('the embedded database needs a word, and a folder of its own', () => {
    const without: Variables = { DATABASE_URL: undefined };
    expect(ofApi({ ...without, EMBEDDED_DATABASE: '1' }).problems).toEqual([
      'DATA_DIR must be set with NODE_ENV=production',
    ]);
    expect(ofApi({ ...without, EMBEDDED_DATABASE: '1', DATA_DIR: '/data' }).problems).toEqual([]);
    expect(ofApi({ ...without, EMBEDDED_DATABASE: '0', DATA_DIR: '/data' }).problems).toHaveLength(1);
    expect(ofApi({ EMBEDDED_DATABASE: '1', DATA_DIR: '/data' }).problems).toEqual([
      'EMBEDDED_DATABASE must not be 1 with DATABASE_URL',
    ]);
  });

  test('a place to listen needs a database to listen for, and shows no password when it is wrong', () => {
    const LISTEN = { DATABASE_LISTEN_URL: 'postgres://chat@db:5432/chat', DATABASE_PREPARED_STATEMENTS: '0' };
    expect(ofApi(LISTEN)).toEqual({ problems: [], warnings: [] });
    const embedded = { DATABASE_URL: undefined, EMBEDDED_DATABASE: '1', DATA_DIR: '/data' };
    expect(ofApi({ ...embedded, ...LISTEN }).problems).toEqual([
      'DATABASE_LISTEN_URL must not be set without DATABASE_URL',
    ]);
    expect(
      ofApi({ DATABASE_LISTEN_URL: 'mysql://chat:hidden@db/chat', DATABASE_PREPARED_STATEMENTS: 'maybe' }).problems,
    ).toEqual([
      'DATABASE_LISTEN_URL must be a URL that starts with postgres:// or postgresql://',
      'DATABASE_PREPARED_STATEMENTS must be 1 or 0, got "maybe"',
    ]);
  });

  test.each([
    ['RELAY_URL', ofApi],
    ['RELAY_PUBLIC_URL', ofApi],
    ['API_URL', ofRelay],
    ['API_INTERNAL_URL', ofRelay],
  ])('%s that is plain http to another machine is warned about, and not on this one', (name, of) => {
    for (const url of ['http://relay:3001', 'http://10.0.0.11:3001', 'http://127.0.0.1.evil.test']) {
      expect(of({ [name]: url }).warnings).toEqual([
        expect.stringMatching(new RegExp(`^${name} is plain http: .*tokens`)),
      ]);
    }
    for (const url of ['http://localhost:3001', 'http://127.0.0.1:3001', 'http://[::1]:3001', 'https://relay:3001']) {
      expect(of({ [name]: url })).toEqual({ problems: [], warnings: [] });
    }
  });

  test('an identity provider’s keys need an audience and a safe way', () => {
    const secret = { JWT_SECRET: undefined, CONNECTION_TOKEN_SECRET: 'a-connection-secret-of-32-bytes-or-more' };
    const provider = { ...secret, JWT_JWKS_URL: 'https://id.test/jwks' };
    expect(ofRelay({ ...provider, JWT_AUDIENCE: 'chat' })).toEqual({ problems: [], warnings: [] });
    expect(ofRelay(provider).warnings).toEqual([expect.stringMatching(/^JWT_AUDIENCE is not set/)]);
    expect(ofRelay({ ...provider, JWT_AUDIENCE: 'chat', JWT_JWKS_URL: 'http://id.test/jwks' }).warnings).toEqual([
      expect.stringMatching(/^JWT_JWKS_URL is plain http: the keys/),
    ]);
  });
});

describe('in development', () => {
  const secrets = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };

  test('a relay that was told of no API sends its tokens to nobody, and says so', () => {
    const { apiUrl, warnings } = readRelayConfig(secrets);
    expect([apiUrl, warnings]).toEqual([undefined, [expect.stringMatching(/^API_URL is not set/)]]);
    expect(readRelayConfig({ ...secrets, API_URL: '' }).warnings).toEqual([]);
    expect(readRelayConfig({ ...secrets, API_URL: 'http://localhost:3000' })).toMatchObject({
      apiUrl: 'http://localhost:3000',
      warnings: [],
    });
  });

  test('both listen on loopback (G34)', () => {
    expect([readApiConfig(secrets).host, readRelayConfig(secrets).host]).toEqual(['localhost', 'localhost']);
  });

  test.each(['0.0.0.0', '::', '[::]', '192.168.1.20', 'my-machine.test'])(
    'the demo on %s is warned about: it asks for no password',
    (API_HOST) => {
      const demo = { ...secrets, DEMO: '1' };
      expect(readApiConfig({ ...demo, API_HOST }).warnings).toEqual([expect.stringMatching(/without a password$/)]);
      expect(readApiConfig({ ...secrets, API_HOST }).warnings).toEqual([]);
      for (const host of ['localhost', '127.0.0.1', '::1', '']) {
        expect(readApiConfig({ ...demo, API_HOST: host }).warnings).toEqual([]);
      }
    },
  );

  test.each([
    ['API_HOST', readApiConfig],
    ['RELAY_HOST', readRelayConfig],
    ['RELAY_INTERNAL_HOST', readRelayConfig],
    ['API_INTERNAL_HOST', readApiConfig],
  ] as const)('%s that can be none is refused', (name, read) => {
    for (const host of ['http://localhost', 'localhost:3000', 'a b', '10.0.0.0/8', '*', '-x']) {
      expect(() => read({ ...secrets, [name]: host })).toThrow(`${name} must be an address of this machine`);
    }
  });

  test.each([
    ['RELAY_URL', readApiConfig, 'relayUrl'],
    ['RELAY_PUBLIC_URL', readApiConfig, 'relayPublicUrl'],
    ['API_URL', readRelayConfig, 'apiUrl'],
    ['API_INTERNAL_URL', readRelayConfig, 'apiUrl'],
  ] as const)('%s may have a path, and nothing else behind the host', (name, read, field) => {
    const of = (url: string): unknown =>
      (read({ ...secrets, [name]: url }) as unknown as Record<string, unknown>)[field];
    expect(of('https://example.com/rt/')).toBe('https://example.com/rt');
    expect(() => of('https://example.com/rt?x=1')).toThrow(`${name} must end with its path`);
    expect(() => of('https://a:b@example.com/rt')).toThrow(`${name} must not hold a user name or password`);
  });

  test('a relay asks API_INTERNAL_URL, which is API_URL where it is not set', () => {
    const of = (urls: Variables): string | undefined => readRelayConfig({ ...secrets, ...urls }).apiUrl;
    const [API_URL, API_INTERNAL_URL] = ['https://api.test', 'http://127.0.0.1:3003/base'];
    expect([of({ API_URL }), of({ API_URL, API_INTERNAL_URL }), of({ API_INTERNAL_URL })]).toEqual([
      API_URL,
      API_INTERNAL_URL,
      API_INTERNAL_URL,
    ]);
    expect(() => of({ API_URL: '', API_INTERNAL_URL })).toThrow('API_INTERNAL_URL must not be set where API_URL is');
  });

  test('a relay that is started alone from its sources has no API unless API_URL names one', async () => {
    const { withoutApi } = (await import(new URL('../scripts/processes.mjs', import.meta.url).href)) as {
      withoutApi: (env: Variables) => Variables;
    };
    const of = (urls: Variables): string | undefined => readRelayConfig(withoutApi({ ...secrets, ...urls })).apiUrl;
    const [API_URL, API_INTERNAL_URL] = ['http://127.0.0.1:3000', 'http://127.0.0.1:3003'];
    expect([of({}), of({ API_URL }), of({ API_URL, API_INTERNAL_URL })]).toEqual([
      undefined,
      API_URL,
      API_INTERNAL_URL,
    ]);
    // `.env` says it for both services.
    expect(of({ API_INTERNAL_URL })).toBeUndefined();
    expect(() => of({ API_URL: '', API_INTERNAL_URL })).toThrow('API_INTERNAL_URL must not be set');
  });

  test.each([
    ['RELAY_INTERNAL_NAMES', readRelayConfig],
    ['API_INTERNAL_NAMES', readApiConfig],
  ] as const)('%s are names, and at most 100', (name, readConfig) => {
    const read = (names: string) => readConfig({ ...secrets, [name]: names }).internalNames;
    expect(read(' Relay.prod.svc.cluster.local, relay.corp.example.com ,')).toEqual([
      'relay.prod.svc.cluster.local',
      'relay.corp.example.com',
    ]);
    expect(read('[::1],10.0.0.11,fd00::2')).toEqual(['::1', '10.0.0.11', 'fd00::2']);
    for (const wrong of ['relay:3002', 'http://relay', '*.example.com', 'a b']) {
      expect(() => read(`relay,${wrong}`)).toThrow(`must list host names without ports, got "${wrong}"`);
    }
    expect(() => read(Array.from({ length: 101 }, (_, n) => `relay${n}`).join(','))).toThrow('at most 100 names');
  });
});
