import { describe, expect, test } from 'vitest';
import { ConfigurationError, type Environment, readEnvironment } from '../src/index.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** The problems that reading `variables` in this way finds. */
function problems(variables: Variables, read: (env: Environment) => void): readonly string[] {
  const env = readEnvironment(variables);
  read(env);
  try {
    env.assertValid();
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('a wrong configuration', () => {
  const variables = {
    NODE_ENV: 'production',
    A_PORT: '30OO',
    A_NUMBER: '0',
    A_LEVEL: 'loud',
    A_FLAG: 'perhaps',
    A_URL: 'postgres://user:hunter2@db/x',
    A_SECRET: 'hunter2',
    ANOTHER_SECRET: 'changeme-changeme-changeme-changeme',
    A_GOOD_ONE: '5',
  };
  function readAll(env: Environment): void {
    env.port('A_PORT', 3_000);
    env.integer('A_NUMBER', 7, { min: 1, max: 9 });
    env.oneOf('A_LEVEL', 'info', ['info', 'debug']);
    env.flag('A_FLAG');
    env.url('A_URL', ['https:', 'http:']);
    env.secret('A_SECRET');
    env.secret('ANOTHER_SECRET');
    env.integer('A_GOOD_ONE', 1, { min: 1, max: 9 });
    env.problem('A_THING is of no use');
  }

  test('is one error that names every bad variable, with what was expected', () => {
    const env = readEnvironment(variables);
    readAll(env);
    expect(() => env.assertValid()).toThrow(ConfigurationError);
    const { message } = new ConfigurationError(problems(variables, readAll));
    expect(message).toMatch(/^invalid configuration: /);
    expect(message.split('; ')).toEqual([
      'invalid configuration: A_PORT must be an integer from 0 to 65535, got "30OO"',
      'A_NUMBER must be an integer from 1 to 9, got "0"',
      'A_LEVEL must be one of info, debug, got "loud"',
      'A_FLAG must be 1 or 0, got "perhaps"',
      'A_URL must be a URL that starts with https:// or http://',
      'A_SECRET must be at least 32 bytes with NODE_ENV=production',
      'ANOTHER_SECRET must not be a known default with NODE_ENV=production',
      'A_THING is of no use',
    ]);
  });

  test('never shows a secret, nor a URL, which may carry a password', () => {
    const message = problems(variables, readAll).join('; ');
    for (const value of [variables.A_SECRET, variables.ANOTHER_SECRET, variables.A_URL]) {
      expect(message).not.toContain(value);
    }
  });

  test('is not known before assertValid: until then readers return their fallbacks', () => {
    const env = readEnvironment(variables);
    expect(env.port('A_PORT', 3_000)).toBe(3_000);
    expect(env.integer('A_NUMBER', 7, { min: 1, max: 9 })).toBe(7);
    expect(env.oneOf('A_LEVEL', 'info', ['info', 'debug'])).toBe('info');
    expect(env.flag('A_FLAG')).toBeUndefined();
    expect(env.url('A_URL', ['https:'])).toBeUndefined();
  });
});

describe('a right configuration', () => {
  test('is read, without the spaces around it', () => {
    const env = readEnvironment({
      PORT: ' 8080 ',
      LEVEL: 'debug',
      ON: 'TRUE',
      OFF: 'no',
      URL: 'https://example.com/base//',
      TEXT: ' a b ',
    });
    expect(env.production).toBe(false);
    expect(env.port('PORT', 1)).toBe(8_080);
    expect(env.oneOf('LEVEL', 'info', ['info', 'debug'])).toBe('debug');
    expect([env.flag('ON'), env.flag('OFF'), env.flag('NEITHER')]).toEqual([true, false, undefined]);
    expect(env.url('URL', ['https:'])).toBe('https://example.com/base');
    expect(env.text('TEXT')).toBe('a b');
    expect(() => env.assertValid()).not.toThrow();
  });

  test('a port may have another name, which must not say something else', () => {
    const read = (source: Record<string, string>): number => {
      const env = readEnvironment(source);
      const port = env.port('API_PORT', 3_000, 'PORT');
      env.assertValid();
      return port;
    };
    expect([read({}), read({ PORT: '8080' }), read({ API_PORT: '4000' })]).toEqual([3_000, 8_080, 4_000]);
    expect(read({ API_PORT: '8080', PORT: '8080' })).toBe(8_080);
    expect(read({ API_PORT: '4000', PORT: '' })).toBe(4_000);
    expect(() => read({ API_PORT: '4000', PORT: '8080' })).toThrow(
      'API_PORT and PORT must not differ, got "4000" and "8080"',
    );
    expect(() => read({ PORT: '80a' })).toThrow('PORT must be an integer from 0 to 65535, got "80a"');
  });

  test('an empty variable is an unset one, except where it was asked for', () => {
    const env = readEnvironment({ EMPTY: '', BLANK: '  ' });
    for (const name of ['EMPTY', 'BLANK', 'MISSING']) {
      expect(env.text(name)).toBeUndefined();
      expect(env.port(name, 3_000)).toBe(3_000);
      expect(env.oneOf(name, 'info', ['info'])).toBe('info');
      expect(env.url(name, ['https:'])).toBeUndefined();
    }
    expect(env.text('EMPTY', { keepEmpty: true })).toBe('');
    expect(env.text('BLANK', { keepEmpty: true })).toBe('');
    expect(env.text('MISSING', { keepEmpty: true })).toBeUndefined();
    expect(env.secret('EMPTY')).toBeUndefined();
    expect(() => env.assertValid()).not.toThrow();
  });

  test.each(['tcp://10.0.0.1:3000', 'tcp://[fd00::1]:3000', 'udp://10.0.0.1:53', 'TCP://10.0.0.1:80'])(
    '%s, as Kubernetes sets it for a Service, is no port, and is known for what it is',
    (API_PORT) => {
      const [problem] = problems({ API_PORT }, (env) => env.port('API_PORT', 1));
      expect(problem).toContain(`API_PORT must be an integer from 0 to 65535, got "${API_PORT}"`);
      expect(problem).toMatch(/a link to the Service "api"\. .*enableServiceLinks: false.*or set API_PORT/);
    },
  );

  test.each([
    ['RELAY_INTERNAL_PORT', '"relay-internal"'],
    ['MAX_CONNECTIONS', undefined],
  ])('%s may be a link as well, where it is a port', (name, service) => {
    const found = problems({ [name]: 'tcp://10.0.0.1:1' }, (env) => env.integer(name, 1, { min: 0, max: 65_535 }));
    expect(found[0]?.includes('enableServiceLinks')).toBe(service !== undefined);
    if (service) expect(found[0]).toContain(service);
  });

  test.each([
    'http://lb/rt',
    'https://example.com/a/b.c',
    'http://[::1]:3001',
    'http://[fd00::2]/rt',
    'https://xn--mnchen-3ya.example/',
  ])('%s is where a service may be, path and all', (URL) => {
    const env = readEnvironment({ URL });
    expect(env.serviceUrl('URL')).toBe(URL.replace(/\/$/, ''));
    expect(() => env.assertValid()).not.toThrow();
  });

  test.each([
    ['http://user:hidden@lb', 'must not hold a user name or password'],
    ['http://user@lb', 'must not hold a user name or password'],
    ['http://lb/rt?token=hidden', 'must end with its path'],
    ['http://lb/#hidden', 'must end with its path'],
    ['lb:3001', 'must be a URL that starts with http:// or https://'],
    ['ws://lb', 'must be a URL that starts with http:// or https://'],
  ])('%s is not: a value that nobody would send is refused', (URL, expected) => {
    const found = problems({ URL }, (env) => env.serviceUrl('URL'));
    expect(found).toEqual([expect.stringContaining(`URL ${expected}`)]);
    expect(found.join()).not.toContain('hidden');
  });

  test.each(['-1', '1.5', '1e3', '0x10', '65536', '١', 'NaN', '1_000', '99999999999999999999'])(
    '%s is no port',
    (PORT) => {
      expect(problems({ PORT }, (env) => env.port('PORT', 1))).toEqual([
        `PORT must be an integer from 0 to 65535, got "${PORT}"`,
      ]);
    },
  );

  test.each(['example.com', '//example.com', 'ftp://example.com', 'https//example.com', 'http:', 'localhost:3000'])(
    '%s is no URL for a web service',
    (ADDRESS) => {
      expect(problems({ ADDRESS }, (env) => env.url('ADDRESS', ['http:', 'https:']))).toHaveLength(1);
    },
  );
});

describe('a secret with NODE_ENV=production', () => {
  const read = (SECRET: string, NODE_ENV = 'production'): readonly string[] =>
    problems({ NODE_ENV, SECRET }, (env) => env.secret('SECRET'));

  test('has 32 bytes at least; bytes, not characters', () => {
    expect(read('k'.repeat(31))).toHaveLength(1);
    expect(read('k'.repeat(32))).toEqual([]);
    expect(read('é'.repeat(16))).toEqual([]);
  });

  test.each([
    'change-me-change-me-change-me-change-me',
    'CHANGE_THIS_SECRET_BEFORE_YOU_DEPLOY_IT',
    'changeme1234567890123456789012345678',
    'your-secret-key-0123456789-0123456789',
    'this-is-an-example-secret-for-the-docs',
    'placeholder-placeholder-placeholder-00',
    'secret-secret-secret-secret-secret-secret',
    'password123456789012345678901234567890',
    'test-test-test-test-test-test-test-test',
    'default_default_default_default_default',
  ])('is not %s', (secret) => {
    expect(read(secret)).toEqual(['SECRET must not be a known default with NODE_ENV=production']);
  });

  test.each(['q8r5jYv0fYb3m8o6TzYl0o8r0Vh2N9t1x7c4p6s2d0E', 'correct horse battery staple correct horse'])(
    'may be %s',
    (secret) => {
      expect(read(secret)).toEqual([]);
    },
  );

  test.each(['development', 'test', '', 'staging'])('but with NODE_ENV=%s may be anything', (NODE_ENV) => {
    expect(read('hunter2', NODE_ENV)).toEqual([]);
  });
});
