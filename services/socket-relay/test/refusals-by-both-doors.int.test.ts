import { TEST_SECRETS, tokenFor, tokenWith } from '@groupcast/testing';
import { signConnectionToken, signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DOORS, type DoorClient, type DoorOptions } from './doors.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const APP = 'https://app.example.com';
const now = (): number => Math.floor(Date.now() / 1_000);
const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  sub: 'alice',
  iat: now(),
  exp: now() + 60,
  ...more,
});

/** The `auth` and the request of a connection that is refused. */
interface Refused {
  code: string;
  auth: () => Promise<object>;
  options?: DoorOptions;
}

const REFUSED: Readonly<Record<string, Refused>> = {
  'no token at all': { code: 'TOKEN_MISSING', auth: async () => ({}) },
  'a user id in place of a token': { code: 'TOKEN_MISSING', auth: async () => ({ userId: 'alice' }) },
  'a token that is no string': { code: 'TOKEN_INVALID', auth: async () => ({ token: { sub: 'alice' } }) },
  'a token that is too long': { code: 'TOKEN_INVALID', auth: async () => ({ token: 'x'.repeat(100_001) }) },
  'the literal that everybody knows': { code: 'TOKEN_INVALID', auth: async () => ({ token: 'api-server' }) },
  'a service token': {
    code: 'TOKEN_INVALID',
    auth: async () => ({
      token: await signServiceToken({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'x', scopes: ['monitor'] }),
    }),
  },
  'an expired token': {
    code: 'TOKEN_EXPIRED',
    auth: async () => ({ token: await tokenWith(claims({ iat: now() - 100, exp: now() - 50 })) }),
  },
  'an expired token of another secret': {
    code: 'TOKEN_INVALID',
    auth: async () => ({ token: await tokenWith(claims({ iat: now() - 100, exp: now() - 50 }), 'another secret') }),
  },
  'alg: none': {
    code: 'TOKEN_INVALID',
    auth: async () => ({ token: `${base64url({ alg: 'none', typ: 'JWT' })}.${base64url(claims())}.` }),
  },
  'a connection token that stands for longer than 10 minutes': {
    code: 'TOKEN_INVALID',
    auth: async () => ({ token: await tokenWith(claims({ aud: 'groupcast-user', exp: now() + 3_600 })) }),
  },
  'a userId that is not the user of the token': {
    code: 'FORBIDDEN',
    auth: async () => ({ token: await tokenFor('42'), userId: '43' }),
  },
  'a token in the query string, valid or not': {
    code: 'TOKEN_IN_QUERY',
    auth: async () => ({ token: await tokenFor('alice') }),
    options: { query: { token: 'x' } },
  },
  'positions that are none': {
    code: 'INVALID_PAYLOAD',
    auth: async () => ({ token: await tokenFor('alice'), positions: { g: 1 } }),
  },
  'more positions than may be': {
    code: 'GROUP_LIMIT',
    auth: async () => ({
      token: await tokenFor('alice'),
      positions: Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`g${n}`, { epoch: '1-a', seq: 1 }])),
    }),
  },
  'thousands of items': {
    code: 'PAYLOAD_TOO_LARGE',
    auth: async () => ({ token: 'x', more: Array.from({ length: 5_000 }, () => 0) }),
  },
};

describe.each(DOORS)('by $name the relay refuses, each with its code', ({ connect }) => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest({
      RELAY_WS_PATH: '/ws',
      SOCKET_CORS_ORIGIN: APP,
      MAX_CONNECTIONS_PER_USER: '2',
      MAX_GROUPS_PER_CONNECTION: '5',
    });
  });
  afterAll(async () => {
    await relay.close();
  });
  const member = async (userId: string, groups: string[] = ['1'], at = relay): Promise<DoorClient> => {
    const client = await connect(at, { token: await tokenFor(userId, groups) });
    await client.joined();
    return client;
  };

  test.each(Object.entries(REFUSED))('%s (G76)', async (_what, { code, auth, options }) => {
    const client = await connect(relay, await auth(), options);
    const error = await client.refusal();
    expect(error).toMatchObject({ code, retryable: false });
    expect(error.message).toMatch(/^unable to .*; /);
    expect(relay.logged).toContainEqual(
      expect.objectContaining({ code, msg: expect.stringMatching(/^connection refused: /) }),
    );
  });

  test('an origin that is not allowed (G10)', async () => {
    const options = { headers: { origin: 'https://evil.example.com' } };
    await connect(relay, { token: await tokenFor('alice') }, options).then(
      // A client of Socket.IO gets no word of the answer.
      async (client) => expect(await client.refusal()).toBeUndefined(),
      (error: Error) => expect(error.message).toMatch(/400/),
    );
    expect(relay.logged).toContainEqual(expect.objectContaining({ code: 'ORIGIN_FORBIDDEN' }));
    const own = await connect(relay, { token: await tokenFor('alice') }, { headers: { origin: APP } });
    expect(await own.joined()).toEqual({ groups: [] });
  });

  test('a join of a group the user is not a member of, and of groups named like rooms (G9)', async () => {
    const alice = await member('alice');
    for (const groupId of ['2', 'user-alice', 'group-1', 'monitors', 'user-bob']) {
      expect(await alice.ask('join-group', { groupId })).toBe('NOT_A_MEMBER');
    }
    expect(await alice.ask('join-group', { groupId: 1 })).toMatchObject({ groupId: '1' });
  });

  test('api-* events of a user, unknown events, and events without a payload', async () => {
    const bob = await member('bob');
    expect(await bob.ask('api-broadcast-message', { groupId: '1', message: {} })).toBe('FORBIDDEN_EVENT');
    expect(await bob.ask('api-made-up', {})).toBe('FORBIDDEN_EVENT');
    expect(await bob.ask('toString', {})).toBe('UNKNOWN_EVENT');
    expect(await bob.ask('constructor', {})).toBe('UNKNOWN_EVENT');
    // The raw door has a word of its own for a renewal.
    expect(await bob.ask('@refresh-token', { token: await tokenFor('bob') })).toBe('UNKNOWN_EVENT');
    expect(await bob.ask('join-group')).toBe('INVALID_PAYLOAD');
    // Without an acknowledgement there is nothing to answer, and nothing breaks.
    bob.send('join-group', { groupId: {} });
    bob.send('join-group');
    expect(await bob.ask('leave-group', { groupId: '9' })).toMatchObject({ groupId: '9' });
  });

  test('a token over the limit of connections, for a moment', async () => {
    await member('greedy');
    await member('greedy');
    const third = await connect(relay, { token: await tokenFor('greedy', ['1']) });
    expect(await third.closed()).toMatchObject({
      code: 1013,
      reason: expect.stringMatching(/^TOO_MANY_CONNECTIONS: /),
    });
  });

  test('more events a second than allowed, and events beyond all measure (G48)', async () => {
    const small = await startRelayUnderTest({ RELAY_WS_PATH: '/ws', CLIENT_EVENTS_PER_SECOND: '5' });
    try {
      const alice = await member('alice', ['1'], small);
      const answers = await Promise.all(Array.from({ length: 30 }, () => alice.ask('leave-group', { groupId: '9' })));
      expect(answers.filter((answer) => answer === 'RATE_LIMITED').length).toBeGreaterThan(10);
      expect(answers[0]).toMatchObject({ groupId: '9' });
      for (let n = 0; n < 200; n += 1) alice.send('leave-group', { groupId: '9' });
      expect(await alice.ending()).toMatchObject({ code: 'RATE_LIMITED', next: 'reconnect' });
      await alice.closed();
    } finally {
      await small.close();
    }
  });

  test('a token that is revoked while its user is connected', async () => {
    const eve = await member('eve');
    // A token of a later second would be a new one.
    const token = await tokenFor('eve');
    await relay.broadcaster.disconnectUsers({ userIds: ['eve'], code: 'BANNED', revokeBefore: now() + 1 });
    expect(await eve.ending()).toMatchObject({ code: 'BANNED', next: 'stop' });
    await eve.closed();
    const again = await connect(relay, { token });
    expect((await again.refusal()).code).toBe('TOKEN_REVOKED');
  });

  test('no connection token that is as it should be', async () => {
    const claimed = { kind: 'user' as const, userId: 'carol', issuedAt: now(), expiresAt: now() + 3_600, groups: [] };
    const { token } = await signConnectionToken({
      secret: TEST_SECRETS.JWT_SECRET,
      user: { ...claimed, profile: {} },
      groups: ['1'],
      issuedAt: now(),
    });
    const carol = await connect(relay, { token });
    expect(await carol.joined()).toEqual({ groups: [{ groupId: '1', position: null }] });
  });
});
