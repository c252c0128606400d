import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigurationError, readEnvironment, readTokenConfig } from '../src/index.ts';

const USER = 'q8r5jYv0fYb3m8o6TzYl0o8r0Vh2N9t1-user';
const USER_BEFORE = 'q8r5jYv0fYb3m8o6TzYl0o8r0Vh2N9t1-user-before';
const CONNECTION = 'q8r5jYv0fYb3m8o6TzYl0o8r0Vh2N9t1-connection';
const SERVICE = 'q8r5jYv0fYb3m8o6TzYl0o8r0Vh2N9t1-service';
const SHORT = 'hunter2';
const JWKS = 'https://id.example.com/.well-known/jwks.json';

let dataDir = '';
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'groupcast-token-config-'));
});
afterEach(() => {
  rmSync(dataDir, { recursive: true, force: true });
});

type Variables = Readonly<Record<string, string>>;

function read(variables: Variables): ReturnType<typeof readTokenConfig> {
  const env = readEnvironment({ DATA_DIR: dataDir, ...variables });
  const config = readTokenConfig(env);
  env.assertValid();
  return config;
}

function problems(variables: Variables): readonly string[] {
  try {
    read(variables);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}
const inProduction = (variables: Variables): readonly string[] => problems({ NODE_ENV: 'production', ...variables });

describe('secrets with NODE_ENV=production', () => {
  test('that are missing are named, each once, and none is made up', () => {
    expect(inProduction({})).toEqual(['JWT_SECRET is missing', 'RELAY_SERVICE_SECRET is missing']);
    expect(existsSync(join(dataDir, 'secrets.json'))).toBe(false);
  });

  test('that are too short are named, each once, and never shown', () => {
    const names = [
      'JWT_SECRET',
      'JWT_SECRET_PREVIOUS',
      'CONNECTION_TOKEN_SECRET',
      'CONNECTION_TOKEN_SECRET_PREVIOUS',
      'RELAY_SERVICE_SECRET',
      'RELAY_SERVICE_SECRET_PREVIOUS',
    ];
    const found = inProduction(Object.fromEntries(names.map((name) => [name, `${SHORT}-${name.length}`])));
    expect(found.filter((problem) => problem.includes('at least 32 bytes')).toSorted()).toEqual(
      names.map((name) => `${name} must be at least 32 bytes with NODE_ENV=production`).toSorted(),
    );
    expect(found.join()).not.toContain(SHORT);
  });

  test('of the past are named once, though connection tokens fall back to them', () => {
    const variables = { JWT_SECRET: USER, JWT_SECRET_PREVIOUS: SHORT, RELAY_SERVICE_SECRET: SERVICE };
    expect(inProduction(variables)).toEqual(['JWT_SECRET_PREVIOUS must be at least 32 bytes with NODE_ENV=production']);
  });

  test('that are in order are accepted', () => {
    expect(inProduction({ JWT_SECRET: USER, RELAY_SERVICE_SECRET: SERVICE })).toEqual([]);
  });
});

describe('the service secret', () => {
  test.each(['JWT_SECRET', 'JWT_SECRET_PREVIOUS', 'CONNECTION_TOKEN_SECRET', 'CONNECTION_TOKEN_SECRET_PREVIOUS'])(
    'must differ from %s, in development as well',
    (name) => {
      const variables = { JWT_SECRET: USER, RELAY_SERVICE_SECRET: SERVICE, [name]: SERVICE };
      expect(problems(variables)).toEqual([`RELAY_SERVICE_SECRET must differ from ${name}`]);
    },
  );

  test('of the past must differ from every user secret too', () => {
    const variables = { JWT_SECRET: USER, RELAY_SERVICE_SECRET: SERVICE, RELAY_SERVICE_SECRET_PREVIOUS: USER };
    expect(problems(variables)).toEqual(['RELAY_SERVICE_SECRET_PREVIOUS must differ from JWT_SECRET']);
    expect(problems(variables).join()).not.toContain(USER);
  });
});

describe('the secret of connection tokens', () => {
  const secrets = { JWT_SECRET: USER, RELAY_SERVICE_SECRET: SERVICE };

  test('is JWT_SECRET where it is not set, with the same predecessor', () => {
    expect(read({ ...secrets, JWT_SECRET_PREVIOUS: USER_BEFORE }).tokens).toMatchObject({
      connectionSecret: USER,
      previousConnectionSecret: USER_BEFORE,
    });
  });

  test('has its own predecessor, or none, where it is set', () => {
    const own = { ...secrets, CONNECTION_TOKEN_SECRET: CONNECTION, JWT_SECRET_PREVIOUS: USER_BEFORE };
    expect(read(own).tokens).toMatchObject({ connectionSecret: CONNECTION, previousConnectionSecret: undefined });
    const rotated = { ...own, CONNECTION_TOKEN_SECRET_PREVIOUS: `${CONNECTION}-before` };
    expect(read(rotated).tokens.previousConnectionSecret).toBe(`${CONNECTION}-before`);
  });

  test('must be set with a JWKS', () => {
    const variables = { RELAY_SERVICE_SECRET: SERVICE, JWT_JWKS_URL: JWKS };
    expect(problems(variables)).toEqual(['CONNECTION_TOKEN_SECRET must be set with JWT_JWKS_URL']);
    expect(problems({ ...variables, JWT_SECRET: USER })).toEqual([
      'CONNECTION_TOKEN_SECRET must be set with JWT_JWKS_URL',
    ]);
    expect(inProduction({ ...variables, CONNECTION_TOKEN_SECRET: CONNECTION })).toEqual([]);
  });
});

describe('the checks of user tokens', () => {
  const secrets = { JWT_SECRET: USER, RELAY_SERVICE_SECRET: SERVICE };

  test.each(['groupcast-user', 'groupcast-relay', 'groupcast-api'])('JWT_AUDIENCE is not ours: %s', (audience) => {
    expect(problems({ ...secrets, JWT_AUDIENCE: audience })).toEqual([
      `JWT_AUDIENCE must be none of groupcast-user, groupcast-relay, groupcast-api, got "${audience}"`,
    ]);
  });

  test('JWT_GROUPS_CLAIM needs a JWKS', () => {
    expect(problems({ ...secrets, JWT_GROUPS_CLAIM: 'groups' })).toEqual(['JWT_GROUPS_CLAIM needs JWT_JWKS_URL']);
    const jwks = { RELAY_SERVICE_SECRET: SERVICE, JWT_JWKS_URL: JWKS, CONNECTION_TOKEN_SECRET: CONNECTION };
    expect(read({ ...jwks, JWT_GROUPS_CLAIM: 'groups' }).tokens.groupsClaim).toBe('groups');
  });

  test.each(['user..id', '.sub', 'user id', '__proto__', 'user.__proto__', 'constructor.name', 'é', 'a'.repeat(257)])(
    'JWT_USER_CLAIM is no path that names no claim: %.20s',
    (path) => {
      const problem = `JWT_USER_CLAIM must be the name of a claim, or a path such as user.id, got "${path}"`;
      expect(problems({ ...secrets, JWT_USER_CLAIM: path })).toEqual([problem]);
    },
  );

  test.each(['_id', 'user.id', 'https://app.example.com/user_id'])('JWT_USER_CLAIM may be %s', (path) => {
    expect(read({ ...secrets, JWT_USER_CLAIM: path }).tokens.userClaim).toBe(path);
    expect(read(secrets).tokens.userClaim).toBe('sub');
  });

  test('JWT_JWKS_URL is a web address', () => {
    const variables = { ...secrets, CONNECTION_TOKEN_SECRET: CONNECTION, JWT_JWKS_URL: 'file:///etc/jwks.json' };
    expect(problems(variables)).toEqual(['JWT_JWKS_URL must be a URL that starts with https:// or http://']);
  });

  test('clocks may differ by 10 s, and keys be a day old, unless that is set; answers explain themselves in development', () => {
    const { clockSkewSeconds, maxStaleKeysSeconds, explain } = read(secrets).tokens;
    expect([clockSkewSeconds, maxStaleKeysSeconds, explain]).toEqual([10, 86_400, true]);
    const set = { JWT_CLOCK_SKEW_SECONDS: '0', JWT_JWKS_MAX_STALE_SECONDS: '600', NODE_ENV: 'production' };
    expect(read({ ...secrets, ...set }).tokens).toMatchObject({
      clockSkewSeconds: 0,
      maxStaleKeysSeconds: 600,
      explain: false,
    });
    expect(problems({ ...secrets, JWT_CLOCK_SKEW_SECONDS: '301', JWT_JWKS_MAX_STALE_SECONDS: '599' })).toEqual([
      'JWT_CLOCK_SKEW_SECONDS must be an integer from 0 to 300, got "301"',
      'JWT_JWKS_MAX_STALE_SECONDS must be an integer from 600 to 2592000, got "599"',
    ]);
  });

  test('issuer and audience are handed on', () => {
    const variables = { ...secrets, JWT_ISSUER: 'https://id.example.com/', JWT_AUDIENCE: 'chat' };
    expect(read(variables).tokens).toMatchObject({ issuer: 'https://id.example.com/', audience: 'chat' });
  });
});

describe('secrets in development', () => {
  test('that are missing are made, and are the same the next time and for the other service', () => {
    const first = read({});
    expect(first.tokens.secret?.length).toBeGreaterThanOrEqual(32);
    expect(first.relaySecrets.secret.length).toBeGreaterThanOrEqual(32);
    expect(first.relaySecrets.secret).not.toBe(first.tokens.secret);
    expect(first.tokens.connectionSecret).toBe(first.tokens.secret);
    expect(read({})).toEqual(first);
  });

  test('that are set win over those that were made', () => {
    const made = read({});
    const mixed = read({ JWT_SECRET: USER });
    expect(mixed.tokens.secret).toBe(USER);
    expect(mixed.relaySecrets).toEqual(made.relaySecrets);
  });
});

test('everything that is wrong is said at once', () => {
  const variables = { NODE_ENV: 'production', JWT_JWKS_URL: 'id.example.com', JWT_AUDIENCE: 'groupcast-api' };
  expect(() => read({ ...variables, JWT_GROUPS_CLAIM: 'groups' })).toThrow(
    /JWT_JWKS_URL.*JWT_SECRET.*JWT_AUDIENCE.*JWT_GROUPS_CLAIM.*RELAY_SERVICE_SECRET/,
  );
});
