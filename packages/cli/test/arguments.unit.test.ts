import { describe, expect, it } from 'vitest';
import { groupIdsOption, integerOption, readOptions, urlOption, userIdOption } from '../src/arguments.ts';
import { readTestOptions } from '../src/broadcast-test/options.ts';
import { type CommandContext, UsageError } from '../src/command.ts';
import { monitorSocket } from '../src/commands/monitor-socket.ts';
import { token } from '../src/commands/token.ts';
import { readSettings } from '../src/settings.ts';

const SECRETS = {
  JWT_SECRET: 'user-tokens-of-this-test-0123456789abcdef',
  RELAY_SERVICE_SECRET: 'service-tokens-of-this-test-0123456789ab',
};

function context(env: Record<string, string> = {}): CommandContext & { written: string[] } {
  const written: string[] = [];
  const sink = { write: (text: string) => written.push(text) };
  return { env: { ...SECRETS, ...env }, stdout: sink, stderr: sink, stopped: AbortSignal.abort(), written };
}

function usageError(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error('no error was thrown');
}

describe('readOptions', () => {
  const types = { user: 'string', json: 'boolean' } as const;

  it('reads values and flags', () => {
    expect({ ...readOptions(['--user', 'a', '--json'], types) }).toEqual({ user: 'a', json: true });
    expect({ ...readOptions(['--user=a'], types) }).toEqual({ user: 'a' });
  });

  it.each([
    [['--usr', 'a'], "unknown option '--usr'"],
    [['--user'], "option '--user <value>' argument missing"],
    [['stray'], "unexpected argument 'stray'"],
    [['--json=yes'], "option '--json' does not take an argument"],
  ])('refuses %j in one sentence', (args, message) => {
    expect(usageError(() => readOptions(args, types))).toBe(message);
  });
});

describe('where a command finds the services', () => {
  const urlsOf = (env: Record<string, string>): object => readSettings({ ...SECRETS, ...env }).urls;

  it.each<[Record<string, string>, string, string]>([
    [{}, 'http://localhost:3000', 'http://localhost:3001'],
    [{ API_PORT: '4000', RELAY_PORT: '4001' }, 'http://localhost:4000', 'http://localhost:4001'],
    [{ API_HOST: '0.0.0.0', RELAY_HOST: '[::1]' }, 'http://localhost:3000', 'http://[::1]:3001'],
    [
      { API_HOST: '192.168.1.20', API_PORT: '0', RELAY_HOST: '::' },
      'http://192.168.1.20:3000',
      'http://localhost:3001',
    ],
    [{ NODE_ENV: 'production', API_PORT: '4000' }, 'http://localhost:4000', 'http://localhost:3001'],
    [
      { API_PORT: '4000', API_URL: 'https://a.test/chat/', RELAY_URL: 'https://a.test/rt' },
      'https://a.test/chat',
      'https://a.test/rt',
    ],
    [{ API_URL: '' }, 'http://localhost:3000', 'http://localhost:3001'],
  ])('with %j', (env, api, relay) => {
    expect(urlsOf(env)).toEqual({ api, relay });
  });

  it.each(['API_PORT', 'RELAY_PORT'])('names a %s that Kubernetes has set', (name) => {
    expect(() => urlsOf({ [name]: 'tcp://10.0.0.1:3000' })).toThrow(/enableServiceLinks: false/);
  });

  it.each(['http://a:b@relay', 'http://relay/?x=1', 'relay:3001'])('is not told by %s', (url) => {
    expect(usageError(() => urlOption('url', url))).toMatch(/^--url must be a URL that starts with http/);
    expect(() => urlsOf({ RELAY_URL: url })).toThrow('RELAY_URL must ');
  });
});

describe('option values', () => {
  it('takes ids as every door does', () => {
    expect(groupIdsOption('groups', '1, room~a,1')).toEqual(['1', 'room~a']);
    expect(groupIdsOption('groups', '')).toEqual([]);
    expect(userIdOption('user', 'auth0|x')).toBe('auth0|x');
    expect(usageError(() => groupIdsOption('groups', '1,,2'))).toMatch(/^--groups must be a group id .*got ""$/);
    expect(usageError(() => groupIdsOption('groups', '..'))).toMatch(/^--groups /);
    expect(usageError(() => userIdOption('user', 'a b'))).toMatch(/^--user must be a user id/);
  });

  it.each(['0', '11', '-1', '1.5', '1e1', 'ten', '', ' 5'])('refuses the number %j', (given) => {
    expect(usageError(() => integerOption('rate', given, 5, { min: 1, max: 10 }))).toBe(
      `--rate must be a whole number from 1 to 10, got "${given}"`,
    );
  });

  it('takes http URLs without their trailing slash', () => {
    expect(urlOption('url', 'http://relay:3001/')).toBe('http://relay:3001');
    expect(usageError(() => urlOption('url', 'relay:3001'))).toMatch(/^--url must be a URL/);
    expect(usageError(() => urlOption('url', 'ftp://relay'))).toMatch(/^--url must be a URL/);
  });
});

describe('test-broadcast options', () => {
  it('has the documented defaults', () => {
    expect(readTestOptions([])).toEqual({
      receivers: 10,
      messages: 100,
      rate: 50,
      via: 'api',
      transport: 'websocket',
      groupId: undefined,
      timeoutMs: 10_000,
      json: false,
      apiUrl: undefined,
      relayUrl: undefined,
    });
  });

  it.each([
    [['--receivers', '5001'], /^--receivers must be a whole number from 1 to 5000/],
    [['--messages', '0'], /^--messages must be a whole number from 1 to 100000/],
    [['--rate', '5001'], /^--rate must be a whole number from 1 to 5000/],
    [['--via', 'socket'], /^--via must be api or relay, got "socket"/],
    [['--transport', 'sse'], /^--transport must be websocket or polling/],
    [['--timeout', '1ms'], /^--timeout must be a duration/],
    [['--group', '7'], /^--group needs --via relay/],
    [['--via', 'relay', '--group', 'a b'], /^--group must be a group id/],
    [['--via', 'relay', '--api-url', 'http://a'], /^--api-url is for --via api/],
    [['--receivers', '5000', '--messages', '100000'], /at most 20,000,000 deliveries, got 500,000,000/],
  ])('refuses %j', (args, message) => {
    expect(usageError(() => readTestOptions(args))).toMatch(message);
  });
});

describe('token options', () => {
  it.each([
    [[], /^give --user ID, or --service/],
    [['--user', 'a b'], /^--user must be a user id/],
    [['--user', 'a', '--groups', 'x y'], /^--groups must be a group id/],
    [['--user', 'a', '--scope', 'broadcast'], /^--scope is for service tokens/],
    [['--user', 'a', '--ttl', '0'], /^--ttl must be a duration/],
    [['--service'], /^--service needs --scope/],
    [['--service', '--scope', 'everything'], /^--scope must be of broadcast, monitor, admin, relay/],
    [['--service', '--scope', 'monitor', '--ttl', '11m'], /^--ttl .* to 10m, got "11m"$/],
    [['--service', '--scope', 'monitor', '--audience', 'browser'], /^--audience must be relay or api/],
    [['--service', '--scope', 'monitor', '--user', 'a'], /^--user is for user tokens/],
  ])('refuses %j', async (args, message) => {
    const run = token.run(args, context());
    await expect(run).rejects.toBeInstanceOf(UsageError);
    await expect(run).rejects.toThrow(message);
  });

  it('says that only the identity provider signs user tokens where a JWKS is configured', async () => {
    const env = {
      JWT_JWKS_URL: 'https://id.example.com/jwks',
      CONNECTION_TOKEN_SECRET: 'connection-0123456789-0123456789-abc',
    };
    await expect(token.run(['--user', 'alice'], context(env))).rejects.toThrow(/JWT_JWKS_URL.*identity provider/);
    await expect(token.run(['--service', '--scope', 'monitor'], context(env))).resolves.toBe(0);
  });
});

describe('monitor-socket options', () => {
  it.each([
    [['--group', 'a b'], /^--group must be a group id/],
    [['--user', ''], /^--user must be a user id/],
    [['--url', 'localhost'], /^--url must be a URL/],
  ])('refuses %j', async (args, message) => {
    await expect(monitorSocket.run(args, context())).rejects.toThrow(message);
  });
});
