import { isDeepStrictEqual } from 'node:util';
import type { Answer, ErrorBody } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readRelayConfig } from '../src/config.ts';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

let stub: ApiStub;
let relay: RelayUnderTest;
/** Alice is in the groups 7 and 8, bob in 7. */
let alice: Socket;
let bob: Socket;
beforeAll(async () => {
  stub = await startApiStub();
  // A relay that has just started asks about tokens of the same second.
  for (const member of ['alice 7', 'alice 8', 'bob 7']) stub.members.add(member);
  relay = await startRelayUnderTest({
    API_URL: stub.url,
    CLIENT_EVENTS_PER_SECOND: '1000',
    MAX_PAYLOAD_BYTES: '1024',
    FORWARD_EVENTS: 'poll:vote',
  });
  [alice, bob] = await Promise.all([relay.member('alice', ['7', '8']), relay.member('bob', ['7'])]);
});
afterAll(async () => {
  await relay.close();
  await stub.close();
});
beforeEach(() => {
  stub.events.length = 0;
  stub.cursors.length = 0;
  stub.heard.length = 0;
  stub.answerEvent = () => ({ body: { ok: true } });
});

/** The acknowledgement as it is. */
async function say(socket: Socket, event: string, payload?: unknown): Promise<Answer<Record<string, unknown>>> {
  return (await socket.timeout(8_000).emitWithAck(event, payload)) as Answer<Record<string, unknown>>;
}
const errorOf = (answer: Answer<object>): ErrorBody | undefined => (answer.ok ? undefined : answer.error);

describe('a command', () => {
  const commands: [string, object][] = [
    ['send-message', { content: 'hi', clientMessageId: 'c1' }],
    ['edit-message', { messageId: 'm1', content: 'better' }],
    ['delete-message', { messageId: 'm1' }],
    ['mark-read', { messageId: 'm1' }],
    ['mark-delivered', { messageId: 'm1' }],
  ];

  test.each(commands)('%s goes to the back end with the user’s id, and never with the token', async (event, fields) => {
    const { token } = alice.auth as { token: string };
    stub.answerEvent = () => ({ body: { ok: true, seq: 5, message: { id: 'm1' } } });
    // Ids may be numbers, as everywhere.
    expect(await say(alice, event, { ...fields, groupId: 7 })).toMatchObject({ ok: true, seq: 5 });
    const payload = { ...fields, groupId: '7' };
    const envelope = { userId: 'alice', socketId: alice.id, event, groupId: '7', dialect: 'native' };
    expect(stub.events).toEqual([{ ...envelope, payload }]);
    const [, body = ''] = token.split('.');
    expect(stub.heard.filter((text) => text.includes(body))).toEqual([]);
  });

  test.each(commands)('%s of a group that the connection is not in asks nobody', async (event, fields) => {
    expect(await ask(bob, event, { ...fields, groupId: '8' })).toBe('NOT_A_MEMBER');
    expect(await ask(bob, event, { ...fields })).toBe('INVALID_PAYLOAD');
    expect(stub.events).toEqual([]);
  });

  test('takes fields along that only the back end knows, as JSON', async () => {
    await say(alice, 'send-message', { groupId: '7', content: 'hi', replyTo: 'm0', __proto__: null });
    expect(stub.events[0]?.payload).toEqual({ groupId: '7', content: 'hi', replyTo: 'm0' });
  });

  test('that sends a message waits for the one before it: they are saved in the order in which they were said', async () => {
    stub.mode = 'hang';
    const sent = ['first', 'second', 'third'].map(async (content) =>
      say(alice, 'send-message', { groupId: '7', content }),
    );
    const contents = (): unknown[] => stub.events.map(({ payload }) => (payload as { content: string }).content);
    await until('the first one', () => contents().includes('first'));
    // Another group does not wait.
    const elsewhere = say(alice, 'send-message', { groupId: '8', content: 'elsewhere' });
    await until('the one elsewhere', () => contents().includes('elsewhere'));
    expect(contents()).toEqual(['first', 'elsewhere']);
    stub.release();
    for (const answer of await Promise.all([...sent, elsewhere])) expect(answer).toEqual({ ok: true });
    expect(contents()).toEqual(['first', 'elsewhere', 'second', 'third']);
  });

  test('is acknowledged with what the back end says, codes of its own included', async () => {
    const answers = [
      { ok: true, message: { id: 'm1' }, extra: [1, null] },
      { ok: false, error: { code: 'MUTED', message: 'you are muted', retryable: false, until: 'noon' } },
      { ok: false, error: { code: 'RATE_LIMITED', message: 'slowly', retryable: true, retryAfterMs: 7 } },
    ];
    for (const body of answers) {
      stub.answerEvent = () => ({ body });
      expect(await say(alice, 'send-message', { groupId: '7', content: 'hi' })).toEqual(body);
    }
    const metrics = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/events_refused_total\{code="OTHER"\} 1/);
    expect(metrics).toMatch(/events_refused_total\{code="RATE_LIMITED"\} 1/);
    expect(metrics).toMatch(/groupcast_relay_back_end_calls_total\{call="events",outcome="answered"\} \d/);
    expect(metrics).toContain('groupcast_relay_back_end_circuit{call="events"} 0');
  });

  test('of a mark by a message’s id is a cursor where the back end says that the message stands', async () => {
    stub.answerEvent = ({ event }) => ({ body: { ok: true, seq: event === 'mark-read' ? 3 : 4 } });
    expect(await say(alice, 'mark-read', { groupId: '8', messageId: 'm3' })).toEqual({ ok: true, seq: 3 });
    await say(alice, 'mark-delivered', { groupId: '8', messageId: 'm4' });
    const reported = (): object => Object.assign({}, ...stub.cursors.filter(({ groupId }) => groupId === '8'));
    await until('the cursors', () => 'read' in reported() && 'received' in reported());
    expect(reported()).toEqual({ userId: 'alice', groupId: '8', read: 3, received: 4 });
    // Nothing has come by in this group yet.
    expect(await ask(alice, 'mark-read', { groupId: '7' })).toEqual({ ok: true, seq: 0 });
    expect(await ask(alice, 'mark-read', { groupId: '7', seq: 1, messageId: 'm3' })).toBe('INVALID_PAYLOAD');
    stub.answerEvent = () => ({ body: { ok: true, seq: 'third' } });
    expect(await ask(alice, 'mark-read', { groupId: '7', messageId: 'm3' })).toBe('API_UNAVAILABLE');
  });

  test.each([
    ['a text', { body: '<html>Bad gateway</html>' }],
    ['nothing', { body: '' }],
    ['no ok', { body: { message: {} } }],
    ['an ok that is a text', { body: { ok: 'yes' } }],
    ['a refusal without a reason', { body: { ok: false } }],
    ['a reason without a code', { body: { ok: false, error: { message: 'no', retryable: false } } }],
    ['an array', { body: [{ ok: true }] }],
    ['far too much', { body: { ok: true, padding: 'x'.repeat(70_000) } }],
    ['more levels than can be read', { body: `{"ok":true,"deep":${'['.repeat(500)}${']'.repeat(500)}}` }],
    ['500', { status: 500, body: {} }],
    ['401', { status: 401, body: { error: { message: 'iat is hidden-reason' } } }],
    ['204', { status: 204, body: '' }],
    ['302', { status: 302, body: '' }],
  ])(
    'that is answered with %s is API_UNAVAILABLE, worth another try, and nobody else notices',
    async (_what, answer) => {
      stub.answerEvent = ({ userId }) => (userId === 'alice' ? answer : { body: { ok: true } });
      const refused = errorOf(await say(alice, 'send-message', { groupId: '7', content: 'hi' }));
      expect(refused).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
      expect(JSON.stringify(refused)).not.toMatch(/hidden-reason|127\.0\.0\.1/);
      expect(await say(bob, 'send-message', { groupId: '7', content: 'hi' })).toEqual({ ok: true });
    },
  );

  test('on a relay without a back end is API_UNAVAILABLE for good', async () => {
    const alone = await startRelayUnderTest();
    try {
      const carol = await alone.member('carol', ['7']);
      for (const [event, fields] of commands) {
        const refused = errorOf(await say(carol, event, { ...fields, groupId: '7' }));
        expect([event, refused?.code, refused?.retryable]).toEqual([event, 'API_UNAVAILABLE', false]);
      }
    } finally {
      await alone.close();
    }
  });
});

describe('an event that the relay does not know', () => {
  test('goes to the back end if FORWARD_EVENTS names it, with the group that it names', async () => {
    stub.answerEvent = () => ({ body: { ok: true, votes: 2 } });
    const envelope = { userId: 'alice', socketId: alice.id, event: 'poll:vote', dialect: 'native' };
    expect(await say(alice, 'poll:vote', { groupId: 7, option: 1 })).toEqual({ ok: true, votes: 2 });
    expect(await say(alice, 'poll:vote', ['no', 'group'])).toEqual({ ok: true, votes: 2 });
    expect(await say(alice, 'poll:vote')).toMatchObject({ ok: true });
    expect(stub.events).toEqual([
      { ...envelope, payload: { groupId: 7, option: 1 }, groupId: '7' },
      { ...envelope, payload: ['no', 'group'] },
      { ...envelope, payload: null },
    ]);
    stub.events.length = 0;
    expect(await ask(alice, 'poll:vote', { groupId: 9 })).toBe('NOT_A_MEMBER');
    expect(stub.events).toEqual([]);
  });

  test('is UNKNOWN_EVENT otherwise, with the nearest name', async () => {
    const { code, message } = errorOf(await say(alice, 'sendMessage', { groupId: '7' })) ?? {};
    expect([code, message]).toEqual(['UNKNOWN_EVENT', expect.stringContaining('perhaps "send-message" is meant')]);
    expect(stub.events).toEqual([]);
  });

  test('goes there with *, but one that is no name of an event, or the relay’s own', async () => {
    const all = await startRelayUnderTest({ API_URL: stub.url, FORWARD_EVENTS: '*' });
    try {
      const carol = await all.member('carol');
      expect(await say(carol, 'anything')).toEqual({ ok: true });
      expect([await ask(carol, 'any thing'), await ask(carol, 'joined-groups'), await ask(carol, 'api-x')]).toEqual([
        'UNKNOWN_EVENT',
        'UNKNOWN_EVENT',
        'FORBIDDEN_EVENT',
      ]);
      expect(stub.events.map(({ event }) => event)).toEqual(['anything']);
    } finally {
      await all.close();
    }
  });
});

describe('a back end that hangs', () => {
  const readiness = async (): Promise<unknown> => (await fetch(`${relay.internalUrl}/readyz`)).json();

  test('delays nobody else, is said to be away, and is asked again by itself once it answers (G64)', async () => {
    const monitor = relay.client({
      token: await signServiceToken({
        secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
        scopes: ['monitor'],
        subject: 'test',
        audience: 'groupcast-relay',
      }),
      type: 'monitor',
    });
    const warnings: string[] = [];
    monitor.on('monitor-event', ({ kind, code = '' }: { kind: string; code?: string }) => {
      if (kind === 'warning') warnings.push(code);
    });
    await received(monitor, 'monitor-snapshot');
    stub.mode = 'hang';
    const refusals: (ErrorBody | undefined)[] = [];
    const codes = (): unknown[] => [...new Set(refusals.map((refused) => refused?.code))].toSorted();
    const sent = Array.from({ length: 60 }, async () => {
      refusals.push(errorOf(await say(alice, 'edit-message', { groupId: '7', messageId: 'm1', content: 'hi' })));
    });
    await until('one that is too many of hers', () => codes().includes('RATE_LIMITED'));
    // Calls of others are made beside hers.
    const other = say(bob, 'send-message', { groupId: '7', content: 'me too' });
    await until('the other user’s call', () => stub.events.some(({ userId }) => userId === 'bob'));
    // All that needs no back end is answered meanwhile.
    const live = received(bob, 'new-message');
    await relay.broadcaster.broadcastMessage({ groupId: '7', message: { id: 'live' } });
    await live;
    for (const socket of [alice, bob]) {
      expect(await say(socket, 'get-presence', { groupId: '7' })).toMatchObject({ ok: true });
    }

    await Promise.all(sent);
    expect(codes()).toEqual(['API_UNAVAILABLE', 'RATE_LIMITED']);
    expect(stub.mostAtOnce.get('alice')).toBe(4);
    expect(errorOf(await other)).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
    await until('its state to be said', async () => {
      return isDeepStrictEqual(await readiness(), { status: 'degraded', degraded: ['back-end'] });
    });
    await until('the monitor to hear of it', () => warnings.includes('API_UNAVAILABLE'));
    const made = stub.events.length;
    const atOnce = await until('a call that is not made', async () => {
      const answer = errorOf(await say(bob, 'send-message', { groupId: '7', content: 'again' }));
      return stub.events.length === made ? answer : undefined;
    });
    expect(atOnce).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) });
    expect(relay.logged.filter(({ msg }) => msg.startsWith('the back end does not answer:'))).toHaveLength(1);

    // Nobody says anything: it finds out by itself.
    stub.release();
    await until(
      'the relay to be ready',
      async () => JSON.stringify(await readiness()) === '{"status":"ready"}',
      20_000,
    );
    expect(await say(alice, 'send-message', { groupId: '7', content: 'hi' })).toEqual({ ok: true });
    expect(relay.logged.filter(({ msg }) => msg === 'the back end answers again')).not.toEqual([]);
  });
});

test('groups of a token that nobody could be asked about are joined once the back end is asked again (G64)', async () => {
  stub.mode = 'fail';
  const iat = Math.floor(Date.now() / 1_000) - 60;
  // The token is older than this relay, which cannot know of removals before it started.
  const token = await tokenWith({ sub: 'dave', groups: ['9'], iat, exp: iat + 3_600 });
  const dave = relay.client({ token });
  expect(await received(dave, 'joined-groups')).toEqual({ groups: [], undecided: ['9'] });
  const refused = await until('the question not to be asked', async () => {
    const asked = stub.queries.length;
    const answer = errorOf(await say(dave, 'join-group', { groupId: '9' }));
    return stub.queries.length === asked ? answer : undefined;
  });
  expect(refused).toMatchObject({ code: 'API_UNAVAILABLE', retryAfterMs: expect.any(Number) });
  stub.members.add('dave 9');
  stub.mode = 'answer';
  const { groups } = await received<{ groups: { groupId: string }[] }>(dave, 'joined-groups', 20_000);
  expect(groups.map(({ groupId }) => groupId)).toEqual(['9']);
});

describe('where the back end does not say who is a member', () => {
  beforeAll(() => {
    for (const call of ['/internal/memberships', '/internal/groups']) stub.lacks.add(call);
  });
  afterAll(() => stub.lacks.clear());
  const old = () => Math.floor(Date.now() / 1_000) - 60;

  test('the groups of a token count, though it is older than the relay, and no others', async () => {
    const token = await tokenWith({ sub: 'erin', groups: ['7', '8'], iat: old(), exp: old() + 3_600 });
    const erin = relay.client({ token });
    const { groups, ...rest } = await received<{ groups: { groupId: string }[] }>(erin, 'joined-groups');
    expect([groups.map(({ groupId }) => groupId), rest]).toEqual([['7', '8'], {}]);
    expect(await ask(erin, 'join-group', { groupId: '9' })).toBe('NOT_A_MEMBER');
  });

  test('a removal that the relay has seen counts more than an older token', async () => {
    await relay.broadcaster.removeMembers({ groupId: '8', userIds: ['finn'] });
    const token = await tokenWith({ sub: 'finn', groups: ['7', '8'], iat: old(), exp: old() + 3_600 });
    const finn = relay.client({ token });
    const { groups } = await received<{ groups: { groupId: string }[] }>(finn, 'joined-groups');
    expect(groups.map(({ groupId }) => groupId)).toEqual(['7']);
    expect(await ask(finn, 'join-group', { groupId: '8' })).toBe('NOT_A_MEMBER');
  });

  test('… but says which groups a user is in, that decides', async () => {
    stub.lacks.delete('/internal/groups');
    stub.members.add('gail 7').add('gail 9');
    const token = await tokenWith({ sub: 'gail', groups: ['7', '8'], iat: old(), exp: old() + 3_600 });
    const gail = relay.client({ token });
    const { groups } = await received<{ groups: { groupId: string }[] }>(gail, 'joined-groups');
    expect(groups.map(({ groupId }) => groupId)).toEqual(['7']);
    expect(await ask(gail, 'join-group', { groupId: '9' })).toMatchObject({ ok: true });
    expect(await ask(gail, 'join-group', { groupId: '8' })).toBe('NOT_A_MEMBER');
  });
});

test.each([
  ['join-group', 'the relay handles it itself'],
  ['api-x', 'the relay handles it itself'],
  ['new message', 'or it is no name of an event'],
])('FORWARD_EVENTS may not name "%s"', (name, why) => {
  const secrets = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };
  const read = (env: Record<string, string>) => () => readRelayConfig({ ...secrets, ...env });
  expect(read({ API_URL: 'http://127.0.0.1:9', FORWARD_EVENTS: `a, ${name}` })).toThrow(why);
  expect(read({ API_URL: '', FORWARD_EVENTS: 'a' })).toThrow('FORWARD_EVENTS needs API_URL');
  expect(read({ API_URL: 'http://127.0.0.1:9', FORWARD_EVENTS: ' a, b:c ,,*' })().forwardEvents).toEqual([
    'a',
    'b:c',
    '*',
  ]);
});
