import { describe, expect, test } from 'vitest';
import {
  corsOptions,
  isHostOfOrigins,
  isOriginAllowed,
  type Origins,
  readEnvironment,
  readOrigins,
} from '../src/index.ts';

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

  test('may be those of applications with a scheme of their own, as these send them', () => {
    const SOCKET_CORS_ORIGIN =
      'capacitor://localhost, ionic://localhost/,Tauri://localhost,chrome-extension://abcdefghijklmnop,' +
      'moz-extension://0a1b-2c3d,safari-web-extension://E1B2-F3,app://-,vscode-webview://1abc,myshop://localhost,app://x:8080';
    const origins = read({ SOCKET_CORS_ORIGIN });
    expect(origins).toEqual([
      'capacitor://localhost',
      'ionic://localhost',
      'tauri://localhost',
      'chrome-extension://abcdefghijklmnop',
      'moz-extension://0a1b-2c3d',
      'safari-web-extension://E1B2-F3',
      'app://-',
      'vscode-webview://1abc',
      'myshop://localhost',
      'app://x:8080',
    ]);
    expect(isOriginAllowed(origins, 'capacitor://localhost')).toBe(true);
    expect(isOriginAllowed(origins, 'chrome-extension://abcdefghijklmnop')).toBe(true);
    for (const other of [
      'capacitor://localhost:1',
      'chrome-extension://other',
      'capacitor://localhost.evil.test',
      'capacitor://',
    ])
      expect([other, isOriginAllowed(origins, other)]).toEqual([other, false]);
  });

  test.each([
    'app.example.com',
    'null',
    'file:///etc',
    'file://',
    'data:text/plain',
    'https://',
    'a b',
    // A slip, and no application’s own scheme.
    'htps://app.example.com',
    'htp://localhost',
    'https//app.example.com',
    'ws://localhost',
    'blob:https://app.example.com',
    'javascript://localhost',
    'myshop://shop.example.com',
    'chrome-extension://',
    'capacitor://localhost/index.html',
    'app.example.com:443',
    'localhost:5173',
  ])('%s is none, and the variable is named', (text) => {
    for (const name of ['SOCKET_CORS_ORIGIN', 'CLIENT_URL']) {
      expect(() => read({ [name]: `https://a.test, ${text}` })).toThrow(
        `invalid configuration: ${name} must list origins`,
      );
      expect(() => read({ [name]: text })).toThrow(`got "${text}"`);
    }
  });
});

describe('a pattern', () => {
  const allows = (pattern: string, origin: string): boolean =>
    isOriginAllowed(read({ SOCKET_CORS_ORIGIN: pattern }), origin);

  test.each([
    ['https://*.example.com', 'https://app.example.com'],
    ['https://*.example.com', 'https://a-1.example.com'],
    ['https://*.Example.com:443/', 'https://app.example.com'],
    ['https://*.chat.example.com', 'https://xn--mnchen-3ya.chat.example.com'],
    ['http://*.example.com:8080', 'http://app.example.com:8080'],
    ['https://a.test, https://*.example.com', 'https://app.example.com'],
  ])('%s lets %s in', (pattern, origin) => {
    expect(allows(pattern, origin)).toBe(true);
  });

  test.each([
    ['https://*.example.com', 'https://example.com'],
    ['https://*.example.com', 'https://.example.com'],
    ['https://*.example.com', 'https://a.b.example.com'],
    ['https://*.example.com', 'http://app.example.com'],
    ['https://*.example.com', 'https://app.example.com:8443'],
    ['https://*.example.com:8443', 'https://app.example.com'],
    ['https://*.example.com', 'https://appXexample.com'],
    ['https://*.example.com', 'https://evilexample.com'],
    ['https://*.example.com', 'https://app.example.com.evil.test'],
    ['https://*.example.com', 'https://evil.test/.example.com'],
    ['https://*.example.com', 'https://evil.test#.example.com'],
    ['https://*.example.com', 'https://user@app.example.com'],
    ['https://*.example.com', 'https://app.example.com\n'],
    ['https://*.example.com', 'https://*.example.com'],
    ['https://*.example.com', 'null'],
  ])('%s does not let %j in', (pattern, origin) => {
    expect(allows(pattern, origin)).toBe(false);
  });

  test.each([
    '*.example.com',
    'https://*',
    'https://*.com',
    'https://*.com.',
    'https://*.localhost',
    'https://a.*.example.com',
    'https://*.*.example.com',
    'https://app*.example.com',
    'https://*app.example.com',
    'https://example.*',
    'https://*.example.com:*',
    '*://app.example.com',
    'chrome-extension://*',
    'capacitor://*.localhost',
    'https://*.0.0.1',
  ])('%s is none: it is refused with what one looks like', (pattern) => {
    expect(() => read({ SOCKET_CORS_ORIGIN: pattern })).toThrow(
      /SOCKET_CORS_ORIGIN may have \* as a whole first label only, .*as in https:\/\/\*\.example\.com, got/,
    );
  });

  test.each([
    'https://*.co.uk',
    'https://*.github.io',
    'https://*.Vercel.app:443/',
    'http://*.com.au:8080',
    // By a rule with a star of its own, and one in another alphabet.
    'https://*.anything.ck',
    'https://*.公司.cn',
  ])('%s lets anybody register a name: it is refused', (pattern) => {
    for (const NODE_ENV of ['development', 'production']) {
      expect(() => read({ NODE_ENV, SOCKET_CORS_ORIGIN: `https://a.test,${pattern}` })).toThrow(
        /SOCKET_CORS_ORIGIN must not have \* above .* \(publicsuffix\.org\).*, got/,
      );
    }
  });

  test.each([
    ['https://*.example.co.uk', 'https://app.example.co.uk'],
    ['https://*.me.github.io', 'https://app.me.github.io'],
    ['https://*.chat.internal', 'https://app.chat.internal'],
    ['https://*.www.ck', 'https://app.www.ck'],
  ])('%s has an owner, and lets %s in', (pattern, origin) => {
    expect(allows(pattern, origin)).toBe(true);
  });

  test('means the same to a CORS plugin', () => {
    const { origin } = corsOptions(read({ SOCKET_CORS_ORIGIN: 'https://a.test,https://*.example.com' }));
    const [plain, pattern] = origin as [string, RegExp];
    expect(plain).toBe('https://a.test');
    expect(['https://app.example.com', 'https://a.b.example.com'].map((text) => pattern.test(text))).toEqual([
      true,
      false,
    ]);
  });

  test('and for the host of a page', () => {
    const origins = read({
      SOCKET_CORS_ORIGIN: 'https://a.test:8443,https://*.example.com:8443,capacitor://localhost',
    });
    const hosts = ['a.test', 'app.example.com', 'a.b.example.com', 'example.com', 'b.test', 'aXtest'];
    expect(hosts.map((host) => isHostOfOrigins(origins, host))).toEqual([true, true, false, false, false, false]);
    expect([isHostOfOrigins('*', 'a.test'), isHostOfOrigins('localhost', 'localhost')]).toEqual([false, false]);
  });
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
