import type { ConnectQuery } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readRelayConfig } from '../src/config.ts';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

const APP = 'https://app.example.com';
const TRANSPORTS = ['websocket', 'polling'] as const;
const now = (): number => Math.floor(Date.now() / 1_000);

let stub: ApiStub;
let relay: RelayUnderTest;
beforeAll(async () => {
  stub = await startApiStub();
  // No user's token is verified, so there is no secret for them.
  const env = { API_URL: stub.url, AUTH_BY: 'back-end', SOCKET_CORS_ORIGIN: APP, JWT_SECRET: '' };
  relay = await startRelayUnderTest(env);
});
afterAll(async () => {
  await relay.close();
  await stub.close();
});
beforeEach(() => {
  stub.connects.length = 0;
  stub.heard.length = 0;
  stub.mode = 'answer';
  stub.members = new Set(['alice 7', 'alice 8', '42 7']);
  stub.answerConnect = ({ cookie }) =>
    cookie?.includes('session=s1')
      ? { body: { userId: 'alice', groups: [7, 'no id', '8'], expiresAt: now() + 60 } }
      : { status: 401, body: { error: 'no such session' } };
});

const bySession = (transport: (typeof TRANSPORTS)[number]) => ({
  transports: [transport],
  extraHeaders: { cookie: 'theme=dark; session=s1', origin: APP },
});
type Refused = Error & { data: { code: string; retryable: boolean } };
const refused = async (socket: Socket): Promise<Refused> => received<Refused>(socket, 'connect_error');

describe('with AUTH_BY=back-end', () => {
  test.each(TRANSPORTS)('a user is who the back end says, with its groups, on %s', async (transport) => {
    const auth = { userId: 'alice', theme: { of: ['the', 'page'] }, positions: {}, notifications: true, type: 'user' };
    const alice = relay.client(auth, bySession(transport));
    const joined = await received<{ groups: { groupId: string }[] }>(alice, 'joined-groups');
    expect(joined.groups.map(({ groupId }) => groupId)).toEqual(['7', '8']);
    expect(stub.connects).toEqual([
      {
        auth: { userId: 'alice', theme: { of: ['the', 'page'] } },
        cookie: 'theme=dark; session=s1',
        origin: APP,
        address: expect.stringMatching(/127\.0\.0\.1$/),
      },
    ]);
    const invalid = { code: 'INVALID_GROUP', msg: expect.stringMatching(/back end names "no id".*"alice".*left out/) };
    expect(relay.logged).toContainEqual(expect.objectContaining(invalid));
  });

  test('a header and any auth are handed on, and a number is a user id', async () => {
    stub.answerConnect = () => ({ body: { userId: 42, groups: ['7'], expiresAt: now() + 60 } });
    const options = { extraHeaders: { authorization: 'Basic YTpi' } };
    const socket = relay.client({ token: 'their own', userId: 42 }, options);
    await received(socket, 'joined-groups');
    const [{ auth, authorization, cookie, origin } = {} as ConnectQuery] = stub.connects;
    expect({ auth, authorization, cookie, origin }).toEqual({
      auth: { token: 'their own', userId: 42 },
      authorization: 'Basic YTpi',
      cookie: undefined,
      origin: undefined,
    });
    const answer = await relay.broadcaster.notifyUsers({ userIds: ['42'], event: 'hello', data: {} });
    expect(answer.recipients).toBe(1);
  });

  const answers: [string, { status?: number; body: unknown }, string, RegExp][] = [
    ['401 and a text', { status: 401, body: { error: 'log in first' } }, 'TOKEN_INVALID', /; log in first$/],
    [
      '401 and a code of ours',
      { status: 401, body: { error: { code: 'TOKEN_EXPIRED', message: 'the session is over' } } },
      'TOKEN_EXPIRED',
      /; the session is over$/,
    ],
    [
      '401 and a code of its own',
      { status: 401, body: { error: { code: 'E_BANNED', message: 'banned' } } },
      'TOKEN_INVALID',
      /; banned$/,
    ],
    [
      '401 and a code that would have the client come back',
      { status: 401, body: { error: { code: 'API_UNAVAILABLE' } } },
      'TOKEN_INVALID',
      /; the back end does not accept the sign-in$/,
    ],
    [
      '401 and markup',
      { status: 401, body: { error: `<img src=x onerror="alert(1)">\u202e\n${'x'.repeat(500)}` } },
      'TOKEN_INVALID',
      /^unable to connect; img src=x onerror= alert\(1\) x{100,}$/,
    ],
    ['an end that has passed', { body: { userId: 'alice', expiresAt: now() - 1 } }, 'TOKEN_EXPIRED', /expired/],
  ];
  test.each(answers)('%s refuses for good, on both transports (G74)', async (_what, answer, code, message) => {
    stub.answerConnect = () => answer;
    for (const transport of TRANSPORTS) {
      const error = await refused(relay.client({ token: await tokenFor('alice', ['7']) }, bySession(transport)));
      expect(error.data).toMatchObject({ code, retryable: false });
      expect(error.message).toMatch(message);
    }
  });

  test.each([
    ['nothing', { body: '' }],
    ['a text', { body: '<html>log in</html>' }],
    ['no user', { body: { groups: ['7'], expiresAt: now() + 60 } }],
    ['a user who is none', { body: { userId: 'a b', expiresAt: now() + 60 } }],
    ['a list of users', { body: { userId: ['alice'], expiresAt: now() + 60 } }],
    ['no end', { body: { userId: 'alice' } }],
    ['an end in milliseconds', { body: { userId: 'alice', expiresAt: Date.now() + 60_000 } }],
    ['groups that are no list', { body: { userId: 'alice', groups: '7', expiresAt: now() + 60 } }],
    ['too many groups', { body: { userId: 'alice', groups: Array(10_001).fill(7), expiresAt: now() + 60 } }],
    ['401 without an error', { status: 401, body: {} }],
    ['401 about the relay itself', { status: 401, body: { error: { code: 'SERVICE_TOKEN_INVALID' } } }],
    ['403', { status: 403, body: { error: 'no' } }],
    ['302', { status: 302, body: '' }],
    ['500', { status: 500, body: { userId: 'alice', expiresAt: now() + 60 } }],
    ['404: it has no such call', { status: 404, body: {} }],
  ] as const)('an answer of %s lets nobody in, and is worth another try (G74)', async (_what, answer) => {
    const own = await startRelayUnderTest({ API_URL: stub.url, AUTH_BY: 'back-end', SOCKET_CORS_ORIGIN: APP });
    try {
      stub.answerConnect = () => answer;
      const socket = own.client({ token: await tokenFor('alice', ['7']) }, bySession('websocket'));
      const welcomes: unknown[] = [];
      socket.on('joined-groups', (groups) => welcomes.push(groups));
      const [, details] = await new Promise<unknown[]>((resolve) =>
        socket.once('disconnect', (...all) => resolve(all)),
      );
      expect(details).toMatchObject({ context: { code: 1013, reason: expect.stringMatching(/^API_UNAVAILABLE: /) } });
      expect(welcomes).toEqual([]);
      const { recipients } = await own.broadcaster.notifyUsers({ userIds: ['alice'], event: 'hello', data: {} });
      expect(recipients).toBe(0);
    } finally {
      await own.close();
    }
  });

  test('a token that JWT_SECRET has signed says nothing, and neither does auth.userId (G74)', async () => {
    const auth = { token: await tokenFor('alice', ['7']), userId: 'alice' };
    expect(await refusal(relay.client(auth))).toBe('TOKEN_INVALID');
    const claims = { aud: 'groupcast-user', sub: 'alice', groups: ['7'], iat: now(), exp: now() + 60 };
    expect(await refusal(relay.client({ token: await tokenWith(claims) }))).toBe('TOKEN_INVALID');
    expect(await refusal(relay.client({ userId: 'bob' }, bySession('websocket')))).toBe('FORBIDDEN');
    expect(await refusal(relay.client({}, { query: { token: auth.token } }))).toBe('TOKEN_IN_QUERY');
  });

  test.each(TRANSPORTS)('a cookie that another site may have sent is not handed on, on %s (G73)', async (transport) => {
    const options = bySession(transport);
    const extraHeaders = { cookie: options.extraHeaders.cookie, 'sec-fetch-site': 'cross-site' };
    expect(await refusal(relay.client({}, { ...options, extraHeaders }))).toBe('TOKEN_INVALID');
    expect(stub.connects.map(({ cookie }) => cookie)).toEqual([undefined]);
    const foreign = { ...options.extraHeaders, origin: 'https://evil.example.com' };
    await received(relay.client({}, { ...options, extraHeaders: foreign }), 'connect_error');
    expect(stub.connects.length).toBe(1);
  });

  test('more than is handed on is refused, and the back end does not hear of it', async () => {
    const cases: [object, Record<string, string>][] = [
      [{ token: 'x'.repeat(16_384) }, {}],
      [{ token: 'é'.repeat(8_190) }, {}],
      [{}, { cookie: `session=s1; a=${'x'.repeat(8_192)}` }],
      [{}, { authorization: `Bearer ${'x'.repeat(8_192)}` }],
    ];
    for (const [auth, headers] of cases) {
      const error = await refused(relay.client(auth, { extraHeaders: { ...headers, origin: APP } }));
      expect(error.data).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', retryable: false });
    }
    expect(stub.connects).toEqual([]);
    // The positions of a returning client are for the relay.
    const at = { epoch: '1-a', seq: 1 };
    const positions = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`group-${index}`, at]));
    await received(relay.client({ positions }, bySession('websocket')), 'joined-groups');
  });

  test('refresh-token asks again, and is refused for another user', async () => {
    const alice = relay.client({}, bySession('websocket'));
    await received(alice, 'joined-groups');
    stub.answerConnect = ({ auth }) => {
      const user = { alice: 'alice', bob: 'bob' }[String(auth['token'])];
      if (user === undefined) return { status: 401, body: { error: 'who is that?' } };
      return { body: { userId: user, groups: ['7'], expiresAt: now() + 600 } };
    };
    expect(await ask(alice, 'refresh-token', { token: 'bob' })).toBe('FORBIDDEN');
    expect(await ask(alice, 'refresh-token', { token: 'eve' })).toBe('TOKEN_INVALID');
    const left = received(alice, 'left-groups');
    expect(await ask(alice, 'refresh-token', { token: 'alice' })).toMatchObject({ groups: ['7'] });
    expect(await left).toEqual({ groups: ['8'], reason: 'token-refreshed' });
    expect(stub.connects.at(-1)).toEqual({ auth: { token: 'alice' }, address: expect.any(String) });
  });

  test('a session ends when the back end has said', async () => {
    stub.answerConnect = () => ({ body: { userId: 'alice', expiresAt: now() + 2 } });
    const alice = relay.client({}, bySession('websocket'));
    const ending = received(alice, 'session-ending');
    await received(alice, 'joined-groups');
    expect(await ending).toMatchObject({ code: 'TOKEN_EXPIRED' });
    await received(alice, 'disconnect', 8_000);
  });

  test('a user who is revoked while the back end is asked is not let in', async () => {
    stub.mode = 'hang';
    stub.answerConnect = () => ({ body: { userId: 'mallory', expiresAt: now() + 60 } });
    const mallory = relay.client({}, bySession('websocket'));
    await until('the question', () => stub.connects.length === 1);
    await relay.broadcaster.disconnectUsers({ userIds: ['mallory'], code: 'BANNED', revokeBefore: now() + 1 });
    const error = refused(mallory);
    stub.release();
    expect((await error).data.code).toBe('TOKEN_REVOKED');
  });

  test('back ends and monitors sign in by their tokens', async () => {
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const token = await signServiceToken({ ...options, scopes: ['monitor'] });
    await received(relay.client({ token, type: 'monitor' }), 'monitor-snapshot');
    expect(await refusal(relay.client({ type: 'monitor' }, bySession('websocket')))).toBe('SERVICE_TOKEN_INVALID');
    expect(stub.connects).toEqual([]);
  });

  test('one address cannot fill the line: others get their turn', async () => {
    stub.mode = 'hang';
    // Through a proxy they would have one address; loopback has many.
    const sockets = Array.from({ length: 40 }, () => relay.client({}, bySession('websocket')));
    await until('the share of an address', () => stub.connects.length >= 16);
    const other = relay.client({}, { ...bySession('websocket'), localAddress: '127.0.0.2' } as object);
    await until('the other one', () => stub.connects.some(({ address }) => address.endsWith('127.0.0.2')));
    expect(stub.connects.filter(({ address }) => address.endsWith('127.0.0.1')).length).toBe(16);
    stub.release();
    await Promise.all([...sockets, other].map(async (socket) => socket.connected || received(socket, 'joined-groups')));
  });
});

describe('AUTH_BY', () => {
  const problemsOf = (env: Record<string, string>): string => {
    try {
      return readRelayConfig({ ...TEST_SECRETS, API_URL: 'http://localhost:3000', ...env }).warnings.join('; ');
    } catch (error) {
      return String(error);
    }
  };

  test('needs a back end, and hands on no cookie where any origin is allowed', () => {
    expect(problemsOf({ AUTH_BY: 'back-end', API_URL: '' })).toMatch(/AUTH_BY=back-end needs API_URL/);
    expect(problemsOf({ AUTH_BY: 'backend' })).toMatch(/AUTH_BY must be one of/);
    expect(problemsOf({ AUTH_BY: 'back-end', SOCKET_CORS_ORIGIN: '*' })).toMatch(/hands on no cookie/);
    expect(problemsOf({ AUTH_BY: 'back-end' })).toBe('');
  });

  test('needs no secret of tokens that nobody verifies, and makes none up', () => {
    const { RELAY_SERVICE_SECRET } = TEST_SECRETS;
    const env = { NODE_ENV: 'production', RELAY_SERVICE_SECRET, API_URL: 'https://a.test', SOCKET_CORS_ORIGIN: APP };
    const { tokens, warnings } = readRelayConfig({ ...env, AUTH_BY: 'back-end' });
    expect([tokens.secret, warnings]).toEqual([undefined, []]);
    expect(() => readRelayConfig(env)).toThrow('JWT_SECRET is missing');
    // Where it is set, it is held to what a secret has to be.
    expect(() => readRelayConfig({ ...env, AUTH_BY: 'back-end', JWT_SECRET: 'short' })).toThrow('JWT_SECRET');
    expect(() => readRelayConfig({ ...env, AUTH_BY: 'back-end', RELAY_SERVICE_SECRET: '' })).toThrow(
      'RELAY_SERVICE_SECRET is missing',
    );
  });
});
