import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, test } from 'vitest';
import {
  ConfigurationError,
  findToken,
  isCookieTrusted,
  type Origins,
  readEnvironment,
  readTokenPlaces,
  type TokenPlace,
  tokenMissing,
} from '../src/index.ts';

const ORIGINS = ['https://app.example.com'];

function places(text: string | undefined, service: 'relay' | 'api' = 'relay', origins: Origins = ORIGINS): unknown {
  const env = readEnvironment(text === undefined ? {} : { AUTH_TOKEN_FROM: text });
  const read = readTokenPlaces(env, { service, origins });
  try {
    env.assertValid();
    return { read, warnings: env.warnings };
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('AUTH_TOKEN_FROM', () => {
  test('is the handshake for the relay and the header for the API, unless it is set', () => {
    expect(places(undefined)).toEqual({ read: [{ kind: 'auth' }], warnings: [] });
    expect(places(undefined, 'api')).toEqual({ read: [{ kind: 'header' }], warnings: [] });
    expect(places(' , ')).toEqual({ read: [{ kind: 'auth' }], warnings: [] });
  });

  test('is an order, and the same for both services', () => {
    const read = [{ kind: 'cookie', name: 'token' }, { kind: 'header' }, { kind: 'auth' }];
    for (const service of ['relay', 'api'] as const) {
      expect(places('cookie:token, header,auth,header', service)).toEqual({ read, warnings: [] });
    }
  });

  test('warns about a token in a URL, once', () => {
    const warnings = [expect.stringMatching(/^AUTH_TOKEN_FROM lists query:token: .*access logs/)];
    expect(places('auth,query:token')).toEqual({
      read: [{ kind: 'auth' }, { kind: 'query', name: 'token' }],
      warnings,
    });
  });

  test.each([
    'cookie',
    'cookie:',
    'cookie:a b',
    'cookie:a;b',
    'cookie:__proto__',
    'query:__proto__',
    'query:sid',
    'body',
    'Auth',
  ])('names what it does not know: %s', (text) => {
    const problem = `AUTH_TOKEN_FROM must list auth, header, cookie:<name> or query:<name>, got "${text}"`;
    expect(places(`auth,${text}`)).toEqual([problem]);
  });

  test('lists no cookie where any origin is allowed, and says why', () => {
    const problem = expect.stringMatching(
      /^AUTH_TOKEN_FROM must list no cookie where SOCKET_CORS_ORIGIN is \*: browsers/,
    );
    for (const service of ['relay', 'api'] as const) {
      expect(places('auth,header,cookie:token', service, '*')).toEqual([problem]);
      expect(places('auth,header', service, '*')).toMatchObject({ warnings: [] });
    }
  });

  test('is not the handshake alone for the API, which has none', () => {
    expect(places('auth', 'api')).toEqual([expect.stringMatching(/the API needs header, cookie/)]);
  });
});

const ALL: TokenPlace[] = [
  { kind: 'auth' },
  { kind: 'header' },
  { kind: 'cookie', name: 'token' },
  { kind: 'query', name: 'token' },
];
const EVERYWHERE = {
  auth: 'in auth',
  headers: { authorization: 'Bearer in header', cookie: 'a=b; token=in%20cookie; c=d' },
  query: { token: 'in query' },
};

describe('a token', () => {
  test.each(ALL.map((place) => [place.kind, place] as const))(
    'is looked for where it is listed alone: %s',
    (kind, place) => {
      expect(findToken([place], EVERYWHERE, ORIGINS)).toBe(`in ${kind}`);
      expect(findToken([place], { headers: {}, query: {} }, ORIGINS)).toBeUndefined();
      const others = ALL.filter((other) => other !== place);
      const only = findToken(others, EVERYWHERE, ORIGINS);
      expect(only).not.toBe(`in ${kind}`);
    },
  );

  test('is that of the first place that has one; an empty one is none, and a wrong one decides', () => {
    for (const order of [ALL, ALL.toReversed()]) {
      expect(findToken(order, EVERYWHERE, ORIGINS)).toBe(`in ${order[0]?.kind}`);
    }
    const empty = { auth: '', headers: { cookie: 'token=; token2=x', authorization: 'Basic abc' }, query: {} };
    expect(findToken(ALL, { ...empty, query: { token: 'in query' } }, ORIGINS)).toBe('in query');
    expect(findToken(ALL, { ...EVERYWHERE, auth: { not: 'a token' } }, ORIGINS)).toEqual({ not: 'a token' });
  });

  test.each(['toString', 'constructor', 'hasOwnProperty'])('is never what every object inherits: %s', (name) => {
    for (const kind of ['cookie', 'query'] as const) {
      expect(findToken([{ kind, name }], { headers: { cookie: 'a=b' }, query: {} }, ORIGINS)).toBeUndefined();
    }
  });

  test('is not looked for among more cookies than a browser sends', () => {
    const cookie = (header: string): unknown => findToken(ALL, { headers: { cookie: header }, query: {} }, ORIGINS);
    const many = (count: number): string => `${'a=b; '.repeat(count - 1)}token=x`;
    expect(cookie(many(100))).toBe('x');
    for (const header of [many(101), `a=${'x'.repeat(8_192)}; token=x`, ';'.repeat(8_000)]) {
      expect(() => cookie(header)).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }));
    }
  });

  test('that is nowhere is missed where it was looked for', () => {
    const names = 'auth: { token }, Authorization: Bearer, the cookie token, the query parameter token';
    expect(tokenMissing(ALL)).toMatchObject({
      code: 'TOKEN_MISSING',
      message: expect.stringContaining(`(in ${names})`),
    });
  });
});

describe('a cookie', () => {
  const judge = (headers: IncomingHttpHeaders, method = 'GET', origins: Origins = ORIGINS): boolean =>
    isCookieTrusted(origins, { method, headers, query: {} });

  test.each([
    ['GET', { origin: 'https://app.example.com' }, true],
    ['POST', { origin: 'https://app.example.com' }, true],
    ['GET', {}, true],
    ['GET', { 'sec-fetch-site': 'same-origin' }, true],
    ['GET', { 'sec-fetch-site': 'none' }, true],
    ['GET', { 'sec-fetch-site': 'cross-site' }, false],
    ['GET', { 'sec-fetch-site': 'same-site' }, false],
    ['GET', { origin: 'https://evil.example.com' }, false],
    ['GET', { origin: 'null' }, false],
    ['GET', { origin: '' }, false],
    ['POST', { origin: 'https://app.example.com.evil.example' }, false],
    ['POST', {}, false],
    ['POST', { 'sec-fetch-site': 'same-origin' }, false],
    ['DELETE', {}, false],
    ['PATCH', { referer: 'https://app.example.com/' }, false],
  ] as const)('of a %s with %o speaks for its owner: %s (G73)', (method, headers, isTrusted) => {
    expect(judge(headers, method)).toBe(isTrusted);
    if (isTrusted) return;
    const carrier = { method, headers: { ...headers, cookie: 'token=x' }, query: {} };
    expect(() => findToken([{ kind: 'cookie', name: 'token' }], carrier, ORIGINS)).toThrow(
      expect.objectContaining({ code: 'ORIGIN_FORBIDDEN', message: expect.stringMatching(/CSRF/) }),
    );
    // A page cannot make a browser send this one.
    const bearer = { method, headers: { ...headers, authorization: 'Bearer x' }, query: {} };
    expect(findToken([{ kind: 'header' }], bearer, ORIGINS)).toBe('x');
  });

  test('speaks for nobody where any origin is allowed', () => {
    expect(judge({ origin: 'https://app.example.com' }, 'GET', '*')).toBe(false);
    expect(judge({}, 'GET', '*')).toBe(false);
  });
});
