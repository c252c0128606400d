import { describe, expect, test } from 'vitest';
import { isOriginAllowed, type Origins, readEnvironment, readOrigins } from '../src/index.ts';

function read(variables: Readonly<Record<string, string>>): Origins {
  const env = readEnvironment(variables);
  const origins = readOrigins(env);
  env.assertValid();
  return origins;
}

describe('allowed origins', () => {
  test('are listed with commas, and spelled as browsers send them', () => {
    const origins = read({
      SOCKET_CORS_ORIGIN: ' https://App.Example.com/ , http://example.com:80,https://x.test:8443/a ',
    });
    expect(origins).toEqual(['https://app.example.com', 'http://example.com', 'https://x.test:8443']);
    expect(isOriginAllowed(origins, 'https://app.example.com')).toBe(true);
  });

  test('are those of CLIENT_URL where SOCKET_CORS_ORIGIN is not set', () => {
    const CLIENT_URL = 'https://client.example.com';
    expect(read({ CLIENT_URL })).toEqual([CLIENT_URL]);
    expect(read({ CLIENT_URL, SOCKET_CORS_ORIGIN: '' })).toEqual([CLIENT_URL]);
    expect(read({ CLIENT_URL, SOCKET_CORS_ORIGIN: 'https://a.test' })).toEqual(['https://a.test']);
  });

  test('are everybody’s with *, and not with a list that contains one', () => {
    expect(isOriginAllowed(read({ SOCKET_CORS_ORIGIN: '*' }), 'https://anything.test')).toBe(true);
    expect(() => read({ SOCKET_CORS_ORIGIN: 'https://a.test,*' })).toThrow('got "*"');
  });

  test('by default are localhost’s in development, and nobody’s in production', () => {
    expect(read({})).toBe('localhost');
    expect(read({ NODE_ENV: 'production' })).toEqual([]);
    expect(isOriginAllowed([], 'http://localhost:5173')).toBe(false);
  });

  test.each(['app.example.com', 'null', 'file:///etc', 'data:text/plain', 'https://', 'a b', 'chrome-extension://x'])(
    '%s is none, and the variable is named',
    (text) => {
      expect(() => read({ SOCKET_CORS_ORIGIN: `https://a.test, ${text}` })).toThrow(
        /SOCKET_CORS_ORIGIN must list origins/,
      );
      expect(() => read({ CLIENT_URL: text })).toThrow(
        `CLIENT_URL must list origins such as https://app.example.com, got "${text}"`,
      );
    },
  );
});

describe('an origin', () => {
  const listed: Origins = ['https://app.example.com'];

  test.each([
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://app.example.com.evil.test',
    'https://evil.test/https://app.example.com',
    'https://app.example.com@evil.test',
    'https://sub.app.example.com',
    'null',
    '',
  ])('that is not on the list is refused: "%s"', (origin) => {
    expect(isOriginAllowed(listed, origin)).toBe(false);
  });

  test.each([
    'http://localhost',
    'http://localhost:5173',
    'https://localhost',
    'http://127.0.0.1:8080',
    'http://[::1]:3000',
  ])('%s is localhost', (origin) => {
    expect(isOriginAllowed('localhost', origin)).toBe(true);
  });

  test.each([
    'http://localhost.evil.test',
    'http://evil.test/?http://localhost',
    'http://localhost:5173/',
    'http://localhost:123456',
    'http://localhost@evil.test',
    'http://127.0.0.1.evil.test',
    'http://xlocalhost',
    'ftp://localhost',
    'null',
    'http://localhost\n',
  ])('%j is not', (origin) => {
    expect(isOriginAllowed('localhost', origin)).toBe(false);
  });

  test('that is missing is no browser’s, and is always allowed', () => {
    const every: Origins[] = ['*', 'localhost', listed, []];
    expect(every.map((origins) => isOriginAllowed(origins, undefined))).toEqual([true, true, true, true]);
  });
});
