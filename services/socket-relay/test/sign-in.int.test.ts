import { received, TEST_SECRETS, tokenFor, tokenWith } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

const APP = 'https://app.example.com';
const EVIL = 'https://evil.example.com';
const TRANSPORTS = ['websocket', 'polling'] as const;
type Transport = (typeof TRANSPORTS)[number];

const now = (): number => Math.floor(Date.now() / 1_000);

const PLACES = ['auth', 'header', 'cookie', 'query'] as const;
type Place = (typeof PLACES)[number];
type Brought = Partial<ManagerOptions & SocketOptions>;

/** How a client brings its token, by the place where the relay looks for it. */
const BRINGS: Readonly<Record<Place, (token: string) => { auth?: object; options?: Brought }>> = {
  auth: (token) => ({ auth: { token } }),
  header: (token) => ({ options: { extraHeaders: { authorization: `Bearer ${token}` } } }),
  cookie: (token) => ({ options: { extraHeaders: { cookie: `theme=dark; token=${token}; lang=de`, origin: APP } } }),
  query: (token) => ({ options: { query: { jwt: token } } }),
};
const BOTH = PLACES.flatMap((place) => TRANSPORTS.map((transport) => [place, transport] as const));

describe('a token in each place that AUTH_TOKEN_FROM lists', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest({
      SOCKET_CORS_ORIGIN: APP,
      AUTH_TOKEN_FROM: 'auth,header,cookie:token,query:jwt',
    });
  });
  afterAll(async () => {
    await relay.close();
  });

  function connect(place: Place, token: string, transport: Transport, auth: object = {}): Socket {
    const brought = BRINGS[place](token);
    return relay.client({ ...brought.auth, ...auth }, { transports: [transport], ...brought.options });
  }

  test.each(BOTH)('signs its user in, in two tabs: %s, on %s', async (place, transport) => {
    const groupId = `${place}-${transport}`;
    const token = await tokenFor('alice', [groupId]);
    const tabs = [connect(place, token, transport), connect(place, token, transport, { userId: 'alice' })];
    const joined = await Promise.all(tabs.map(async (tab) => received(tab, 'joined-groups')));
    expect(joined).toEqual(tabs.map(() => ({ groups: [{ groupId, position: null }] })));
    const shown = Promise.all(tabs.map(async (tab) => received<{ text: string }>(tab, 'new-message')));
    const { recipients } = await relay.broadcaster.broadcastMessage({ groupId, message: { text: 'hello' } });
    expect((await shown).map(({ text }) => text)).toEqual(['hello', 'hello']);
    expect(recipients.connections).toBe(2);
  });

  test.each(BOTH)('is refused for the same faults with the same codes: %s, on %s', async (place, transport) => {
    const claims = { sub: 'alice', iat: now(), exp: now() + 60 };
    const service = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const past = { iat: now() - 100, exp: now() - 50 };
    for (const [code, token] of [
      ['TOKEN_INVALID', 'x'],
      ['TOKEN_INVALID', '<script>alert(1)</script>'.replaceAll(/[ ;]/g, '')],
      ['TOKEN_INVALID', await tokenWith(claims, 'another secret of thirty-two bytes')],
      ['TOKEN_EXPIRED', await tokenWith({ ...claims, ...past })],
      ['TOKEN_INVALID', await tokenWith({ ...claims, ...past }, 'another secret of thirty-two bytes')],
      ['TOKEN_INVALID', await tokenWith({ ...claims, sub: 'a b' })],
      ['TOKEN_INVALID', await tokenWith({ sub: 'alice', iat: now() })],
      ['TOKEN_INVALID', await signServiceToken({ ...service, scopes: ['broadcast'] })],
    ] as const) {
      const error = await received<Error & { data: { code: string } }>(
        connect(place, token, transport),
        'connect_error',
      );
      expect(error.data.code).toBe(code);
      expect(error.message).not.toMatch(/[<>]/);
    }
    const other = connect(place, await tokenFor('alice'), transport, { userId: 'bob' });
    expect(await refusal(other)).toBe('FORBIDDEN');
    expect(await refusal(connect(place, '', transport))).toBe('TOKEN_MISSING');
  });

  test('in the first listed place decides, whatever the others have', async () => {
    const [alice, bob] = [await tokenFor('alice', ['1']), await tokenFor('bob', ['2'])];
    const extraHeaders = { authorization: `Bearer ${bob}`, cookie: `token=${bob}`, origin: APP };
    const first = relay.client({ token: alice }, { extraHeaders, query: { jwt: bob } });
    expect(await received(first, 'joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
    expect(await refusal(relay.client({ token: 'wrong' }, { extraHeaders, query: { jwt: bob } }))).toBe(
      'TOKEN_INVALID',
    );
    const headers = { authorization: 'Bearer wrong', cookie: `token=${bob}` };
    expect(await refusal(relay.client({}, { extraHeaders: headers }))).toBe('TOKEN_INVALID');
  });

  test('is not the token of a back end, which is in auth alone', async () => {
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      subject: 'test',
      scopes: ['monitor', 'broadcast'],
    });
    for (const place of ['header', 'cookie', 'query'] as const) {
      for (const type of ['monitor', 'api']) {
        expect(await refusal(connect(place, token, 'websocket', { type }))).toBe('SERVICE_TOKEN_INVALID');
      }
    }
    const watching = relay.client({ token, type: 'monitor' });
    expect(await received(watching, 'monitor-snapshot')).toBeDefined();
  });

  test.each(TRANSPORTS)('of a cookie counts from no origin that is not allowed, on %s (G73)', async (transport) => {
    const cookie = `token=${await tokenFor('alice', ['1'])}`;
    for (const origin of [EVIL, 'null', `${APP}.evil.example`]) {
      const socket = relay.client({}, { transports: [transport], extraHeaders: { cookie, origin } });
      const error = await received<Error & { data?: unknown }>(socket, 'connect_error');
      expect(error.data).toBeUndefined();
      expect(error.message).toMatch(/websocket error|xhr poll error/);
    }
    expect(relay.logged).toContainEqual(expect.objectContaining({ code: 'ORIGIN_FORBIDDEN' }));
    // A browser that sends no Origin says where the page was that asked.
    const extraHeaders = { cookie, 'sec-fetch-site': 'cross-site' };
    expect(await refusal(relay.client({}, { transports: [transport], extraHeaders }))).toBe('ORIGIN_FORBIDDEN');
    const own = { ...extraHeaders, 'sec-fetch-site': 'same-origin' };
    await received(relay.client({}, { transports: [transport], extraHeaders: own }), 'joined-groups');
  });

  test('of a cookie: polling answers that the page may send it', async () => {
    const headers = { origin: APP };
    const poll = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, { headers });
    expect(poll.headers.get('access-control-allow-credentials')).toBe('true');
    expect(poll.headers.get('access-control-allow-origin')).toBe(APP);
    const foreign = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: EVIL } });
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  });

  test.each(TRANSPORTS)('among more cookies than a browser sends is refused unread, on %s', async (transport) => {
    const token = await tokenFor('alice', ['1']);
    const extraHeaders = { cookie: `${'a=b; '.repeat(100)}token=${token}`, origin: APP };
    expect(await refusal(relay.client({}, { transports: [transport], extraHeaders }))).toBe('PAYLOAD_TOO_LARGE');
  });

  test('in a URL is refused under every name that is not listed', async () => {
    const token = await tokenFor('alice', ['1']);
    expect(await refusal(relay.client({}, { query: { token } }))).toBe('TOKEN_IN_QUERY');
    expect(await refusal(relay.client({ token }, { query: { access_token: token } }))).toBe('TOKEN_IN_QUERY');
  });

  test('is renewed by refresh-token, and is in no object that the relay keeps', async () => {
    const token = await tokenFor('alice', ['1']);
    const alice = connect('cookie', token, 'websocket');
    await received(alice, 'joined-groups');
    expect(await ask(alice, 'refresh-token', { token: await tokenFor('alice', ['1', '2']) })).toMatchObject({
      groups: ['1', '2'],
    });
    expect(await ask(alice, 'refresh-token', { token: await tokenFor('bob') })).toBe('FORBIDDEN');
  });
});

describe('a place that is not listed', () => {
  test.each([
    ['auth', 'cookie:token', 'cookie'],
    ['header', 'auth', 'auth'],
    ['cookie', 'auth,header', 'header'],
    ['query', 'auth,header,cookie:token', 'auth'],
  ] as const)('is not looked at: %s, where the list is %s', async (left, list, listed) => {
    const relay = await startRelayUnderTest({ SOCKET_CORS_ORIGIN: APP, AUTH_TOKEN_FROM: list });
    try {
      for (const transport of TRANSPORTS) {
        const open = (place: Place, token: string): Socket => {
          const { auth = {}, options } = BRINGS[place](token);
          return relay.client(auth, { transports: [transport], ...options });
        };
        const token = await tokenFor('alice', ['1']);
        const error = await received<Error & { data: { code: string } }>(open(left, token), 'connect_error');
        expect([error.data.code, error.message]).toEqual([
          'TOKEN_MISSING',
          expect.stringContaining('no token was given (in '),
        ]);
        await received(open(listed, token), 'joined-groups');
      }
    } finally {
      await relay.close();
    }
  });
});
