import { AUDIENCE, isErrorCode, type MonitorSnapshot } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openRawClient, type RawClient, rawMember } from './raw-client.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const APP = 'https://app.example.com';
const now = (): number => Math.floor(Date.now() / 1_000);

const opened: RawClient[] = [];
afterEach(() => {
  for (const client of opened.splice(0)) client.close();
});
function keep(client: RawClient): RawClient {
  opened.push(client);
  return client;
}

describe('the raw door', () => {
  let relay: RelayUnderTest;
  let ws: string;
  const open = async (...args: [Parameters<typeof openRawClient>[1]?]): Promise<RawClient> =>
    keep(await openRawClient(ws, ...args));
  const member = async (userId: string, groups: readonly string[] = ['1']): Promise<RawClient> =>
    keep(await rawMember(ws, userId, groups));
  beforeAll(async () => {
    relay = await startRelayUnderTest({ RELAY_WS_PATH: '/ws', SOCKET_CORS_ORIGIN: APP, REMOVAL_MEMORY_SECONDS: '600' });
    ws = `${relay.url}/ws`;
  });
  afterAll(async () => {
    await relay.close();
  });

  test('auth, join and a message, with answers, in one frame each (G76)', async () => {
    const raw = await open();
    // It does not wait for the answer to its first frame.
    raw.send({ type: 'auth', token: await tokenFor('alice', ['1']) });
    raw.send({ type: 'join-group', id: 7, groupId: 1 });
    raw.send({ type: 'join-group', groupId: 'foreign', id: 8 });
    raw.send({ type: 'leave-group', groupId: 'none' });
    expect(await raw.frame('auth-success')).toEqual({ type: 'auth-success', socketId: expect.any(String) });
    expect(await raw.frame('joined-groups')).toEqual({
      type: 'joined-groups',
      groups: [{ groupId: '1', position: null }],
    });
    expect(await raw.frame('ack', ({ id }) => id === 7)).toMatchObject({ type: 'ack', id: 7, ok: true, groupId: '1' });
    expect(await raw.frame('ack', ({ id }) => id === 8)).toMatchObject({
      ok: false,
      error: { code: 'NOT_A_MEMBER', retryable: false },
    });
    const bob = await relay.member('bob', ['1']);
    const heard = received<{ text: string }>(bob, 'new-message');
    const answer = await relay.broadcaster.broadcastMessage({ groupId: '1', message: { text: 'grüße', type: 'note' } });
    expect(answer.recipients.connections).toBe(2);
    // A payload with a type of its own is beside that of the frame.
    expect(await raw.frame('new-message')).toEqual({ type: 'new-message', payload: await heard });
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: { text: 'plain' } });
    expect(await raw.frame('new-message', ({ text }) => text === 'plain')).toMatchObject({ groupId: '1' });
    expect(raw.frames.filter(({ type }) => type === 'ack')).toHaveLength(2);
  });

  test('a monitor sees that it is a raw one', async () => {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, scopes: ['monitor'], subject: 'test', audience: AUDIENCE.relay });
    await member('carol');
    const monitor = relay.client({ token, type: 'monitor' });
    const events: { kind: string; userId?: string; transport?: string }[] = [];
    monitor.on('monitor-event', (event: (typeof events)[number]) => events.push(event));
    const { connections } = await received<MonitorSnapshot>(monitor, 'monitor-snapshot');
    expect(connections.find(({ userId }) => userId === 'carol')?.transport).toBe('raw');
    await member('dave');
    await until('the event', () => events.some(({ userId }) => userId === 'dave'));
    expect(events.find(({ kind, userId }) => kind === 'connected' && userId === 'dave')?.transport).toBe('raw');
  });

  test('its log says on which port it runs, and the URL for WebSockets', () => {
    const { port } = relay;
    expect(relay.logged).toContainEqual(
      expect.objectContaining({ msg: `running on port ${port}`, webSocketUrl: `ws://localhost:${port}/ws` }),
    );
    expect(relay.logged).toContainEqual(expect.objectContaining({ msg: 'listening' }));
  });

  test('a page’s ping is answered, before it has authenticated and afterwards', async () => {
    const raw = await open();
    raw.send({ type: 'ping' });
    expect(await raw.frame('pong')).toEqual({ type: 'pong' });
    raw.send({ type: 'auth', token: await tokenFor('alice') });
    raw.send({ type: 'ping', id: 3 });
    expect(await raw.frame('pong', ({ id }) => id === 3)).toEqual({ type: 'pong', id: 3 });
  });

  test('a payload that is no object, and one that is none at all', async () => {
    const alice = await member('alice');
    expect(await alice.ask('leave-group', { payload: { groupId: '9' } })).toMatchObject({ groupId: '9' });
    expect(await alice.ask('leave-group', { payload: '9' })).toBe('INVALID_PAYLOAD');
    expect(await alice.ask('leave-group')).toBe('INVALID_PAYLOAD');
    // An id that is no number is a field of the payload.
    alice.send({ type: 'leave-group', id: 'x', groupId: '9' });
    expect(await alice.ask('leave-group', { groupId: '9' })).toMatchObject({ groupId: '9' });
    expect(alice.frames.filter(({ type }) => type === 'ack')).toHaveLength(4);
  });

  // A connection that is refused is read no more, and so its end takes a second.
  test('first frames that are none are told so, and closed (G76)', async () => {
    const cases: [frame: string | Buffer, code: number, why: string][] = [
      ['hello', 1008, 'it is not JSON'],
      ['', 1008, 'it is not JSON'],
      ['[1]', 1008, 'no JSON object'],
      ['null', 1008, 'no JSON object'],
      ['{"groupId":"1"}', 1008, 'it has no "type"'],
      ['{"type":7}', 1008, 'it has no "type"'],
      [`{"type":"${'x'.repeat(129)}"}`, 1008, 'longer than 128'],
      ['{"type":"join-group","groupId":"1"}', 1008, 'begins with'],
      [Buffer.from('{"type":"auth"}'), 1003, 'it is binary'],
    ];
    const ends = cases.map(async ([frame]) => {
      const raw = await open();
      raw.send(frame);
      return { ...(await raw.closed()), frames: raw.frames };
    });
    const error = { type: 'auth-error', code: 'INVALID_PAYLOAD', retryable: false };
    expect(await Promise.all(ends)).toEqual(
      cases.map(([, code, why]) => ({
        code,
        reason: expect.stringMatching(/^INVALID_PAYLOAD: unable to read/),
        frames: [{ ...error, message: expect.stringContaining(why) }],
      })),
    );
  });

  test('later frames that are none end the session with a code, and nobody else’s (G76)', async () => {
    const alice = await member('alice');
    const cases: [frame: string | Buffer, code: number][] = [
      ['hello', 1008],
      ['7', 1008],
      ['{}', 1008],
      // Socket.IO keeps the name to itself.
      ['{"type":"disconnect"}', 1008],
      ['{"type":"auth","token":"x"}', 1008],
      [Buffer.from([1, 2]), 1003],
    ];
    const ends = cases.map(async ([frame], index) => {
      const mallory = await member(`mallory${index}`);
      mallory.send(frame);
      const { code, next } = await mallory.frame('session-ending');
      return [code, next, (await mallory.closed()).code];
    });
    expect(await Promise.all(ends)).toEqual(cases.map(([, code]) => ['INVALID_PAYLOAD', 'reconnect', code]));
    expect(await alice.ask('join-group', { groupId: '1' })).toMatchObject({ groupId: '1' });
  });

  test('names of Object and of Node are events like others', async () => {
    const alice = await member('alice');
    for (const type of ['toString', 'constructor', '__proto__', 'error', 'hasOwnProperty']) {
      expect(await alice.ask(type, {})).toBe('UNKNOWN_EVENT');
    }
    expect(await alice.ask('api-broadcast-message', { groupId: '1', message: {} })).toBe('FORBIDDEN_EVENT');
  });

  test('an expired token: it says so and to log in again, then it is closed for good', async () => {
    const raw = await open();
    raw.send({ type: 'auth', token: await tokenWith({ sub: 'alice', iat: now() - 100, exp: now() - 50 }) });
    expect(await raw.frame('auth-error')).toEqual({
      type: 'auth-error',
      code: 'TOKEN_EXPIRED',
      message: expect.stringMatching(/token expired, log in again$/),
      retryable: false,
    });
    expect(await raw.closed()).toMatchObject({ code: 1008, reason: expect.stringMatching(/^TOKEN_EXPIRED: /) });
  });

  test('frames that come before it has authenticated are bounded by their number and by their size', async () => {
    const many = await open();
    for (let n = 0; n < 9; n += 1) many.send({ type: 'ping' });
    expect(await many.frame('auth-error')).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(await many.closed()).toMatchObject({ code: 1013 });
    const items = await open();
    items.send({ type: 'auth', token: 'x', more: Array.from({ length: 20_000 }, () => 0) });
    expect(await items.frame('auth-error')).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    const huge = await open();
    huge.send({ type: 'auth', token: 'x'.repeat(500_000) });
    expect(await huge.frame('auth-error')).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(await huge.closed()).toMatchObject({ code: 1009 });
  });

  test('a user that floods the relay is told so and cut, as on Socket.IO (G76)', async () => {
    const alice = await member('flooder');
    for (let n = 0; n < 1_500; n += 1) alice.send('{"type":"leave-group","groupId":"9"}');
    expect(await alice.frame('session-ending')).toMatchObject({ code: 'RATE_LIMITED', next: 'reconnect' });
    expect((await alice.closed()).code).toBe(1013);
    const items = await member('items');
    items.send({ type: 'resume', positions: Object.fromEntries(Array.from({ length: 40_000 }, (_, n) => [n, 1])) });
    expect(await items.frame('session-ending')).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect((await items.closed()).code).toBe(1009);
  });

  test('recovery by position, after its connection was cut (G76)', async () => {
    const alice = await member('alice', ['r']);
    await relay.broadcaster.broadcastMessage({ groupId: 'r', message: { text: 'one' } });
    const { epoch, seq } = await alice.frame('new-message');
    const position = { epoch, seq };
    alice.close();
    for (const text of ['two', 'three']) await relay.broadcaster.broadcastMessage({ groupId: 'r', message: { text } });
    const token = await tokenFor('alice', ['r']);
    const again = await open();
    again.send({ type: 'auth', token, positions: { r: position } });
    const { groups } = (await again.frame('resumed')) as unknown as { groups: { r: { events: unknown[] } } };
    expect(groups.r).toMatchObject({ recovered: true });
    expect(groups.r.events).toHaveLength(2);
    const answer = await again.ask('resume', { positions: { r: position } });
    expect(answer).toMatchObject({ groups: { r: { recovered: true } } });
    expect(await again.ask('join-group', { groupId: 'r', position })).toMatchObject({ recovered: true });
  });

  test('a member who is removed hears it, and then nothing of the group (G76)', async () => {
    const alice = await member('alice', ['m']);
    await relay.broadcaster.removeMembers({ groupId: 'm', userIds: ['alice'] });
    expect(await alice.frame('left-groups')).toMatchObject({ groups: ['m'] });
    await relay.broadcaster.broadcastMessage({ groupId: 'm', message: { text: 'secret' } });
    expect(await alice.ask('join-group', { groupId: 'm' })).toBe('NOT_A_MEMBER');
    alice.send({ type: 'join-group', groupId: 'm' });
    expect(await alice.frame('error')).toMatchObject({ event: 'join-group', code: 'NOT_A_MEMBER', retryable: false });
    expect(alice.frames.filter(({ type }) => type === 'new-message')).toEqual([]);
  });

  test('the token as a subprotocol, which is neither selected nor in the log', async () => {
    const token = await tokenFor('alice', ['1']);
    const raw = await open({ protocols: [`groupcast.bearer.${token}`, 'groupcast'] });
    expect(raw.webSocket.protocol).toBe('groupcast');
    const other = await open({ protocols: [`groupcast.bearer.${token}`, 'json'] });
    expect(other.webSocket.protocol).toBe('json');
    expect(await raw.frame('joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
    const wrong = await open({ protocols: ['groupcast', 'groupcast.bearer.x.y.z'] });
    expect(await wrong.frame('auth-error')).toMatchObject({ code: 'TOKEN_INVALID' });
    expect((await wrong.closed()).code).toBe(1008);
    expect(JSON.stringify(relay.logged)).not.toContain(token);
  });

  test('a token in the query is refused at once', async () => {
    const raw = keep(await openRawClient(`${ws}?token=${await tokenFor('alice')}`));
    expect(await raw.frame('auth-error')).toMatchObject({ code: 'TOKEN_IN_QUERY' });
    expect((await raw.closed()).code).toBe(1008);
  });

  test('an origin that is not allowed, and a request that is none for a WebSocket', async () => {
    await expect(open({ headers: { origin: 'https://evil.example.com' } })).rejects.toThrow(/400/);
    await open({ headers: { origin: APP } });
    const plain = await fetch(ws);
    expect([plain.status, plain.headers.get('upgrade')]).toEqual([426, 'websocket']);
    expect(await plain.json()).toMatchObject({ error: { code: 'UNSUPPORTED_PROTOCOL' } });
    // Engine.IO's own parameters mean nothing here.
    keep(await openRawClient(`${ws}?EIO=3&sid=x&transport=polling`));
  });

  test('both heartbeats: the relay’s pings are frames of WebSocket, and a peer that answers none is closed', async () => {
    const quick = await startRelayUnderTest({ RELAY_WS_PATH: '/ws', PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '200' });
    try {
      const alive = keep(await rawMember(`${quick.url}/ws`, 'alice', ['1']));
      const dead = keep(await openRawClient(`${quick.url}/ws`, { autoPong: false }));
      dead.send({ type: 'auth', token: await tokenFor('bob', ['1']) });
      await dead.frame('joined-groups');
      let pings = 0;
      alive.webSocket.on('ping', () => {
        pings += 1;
      });
      await dead.closed();
      await until('pings', () => pings >= 4);
      expect(await alive.ask('join-group', { groupId: '1' })).toMatchObject({ groupId: '1' });
      const types = alive.frames.map(({ type }) => type).filter((type) => type !== 'presence');
      expect(types).toEqual(['auth-success', 'joined-groups', 'ack']);
    } finally {
      await quick.close();
    }
  });

  test('a drain tells it to go, and closes it with 1012 (G76)', async () => {
    const drained = await startRelayUnderTest({ RELAY_WS_PATH: '/ws' });
    const alice = keep(await rawMember(`${drained.url}/ws`, 'alice', ['1']));
    await drained.close();
    expect(await alice.frame('session-ending')).toMatchObject({ code: 'SERVER_DRAINING', next: 'reconnect' });
    expect(await alice.closed()).toMatchObject({ code: 1012, reason: expect.stringMatching(/^SERVER_DRAINING: /) });
  });

  test('a draining relay refuses new ones with a 503, as it does Socket.IO’s (G76)', async () => {
    const draining = await startRelayUnderTest({ RELAY_WS_PATH: '/ws', SHUTDOWN_DRAIN_SECONDS: '1' });
    const alice = keep(await rawMember(`${draining.url}/ws`, 'alice', ['1']));
    const bob = keep(await rawMember(`${draining.url}/ws`, 'bob', ['1']));
    const stopped = draining.close();
    await until('the drain', () => [...alice.frames, ...bob.frames].some(({ type }) => type === 'session-ending'));
    await expect(openRawClient(`${draining.url}/ws?sid=x`)).rejects.toThrow(/503/);
    await stopped;
  });

  test('a reader that is too slow is told so and cut, and nobody waits for it (G76)', async () => {
    const small = await startRelayUnderTest({
      RELAY_WS_PATH: '/ws',
      MAX_BUFFERED_BYTES: '131072',
      HISTORY_BYTES: '1048576',
      PING_TIMEOUT_MS: '60000',
    });
    try {
      const [slow, quick] = [
        keep(await rawMember(`${small.url}/ws`, 'slow', ['g'])),
        keep(await rawMember(`${small.url}/ws`, 'quick', ['g'])),
      ];
      slow.webSocket.pause();
      let sent = 0;
      while (!small.logged.some(({ code }) => code === 'SLOW_CONSUMER')) {
        sent += 1;
        expect(sent).toBeLessThan(1_000);
        await small.broadcaster.broadcastMessage({ groupId: 'g', message: { sent, text: 'x'.repeat(60_000) } });
      }
      await quick.frame('new-message', (frame) => frame['sent'] === sent);
      slow.webSocket.resume();
      await slow.closed();
      const shown = slow.frames.flatMap(({ type, sent: number }) => (type === 'new-message' ? [number] : []));
      // Never a gap: what it has read is the beginning.
      expect(shown).toEqual(Array.from({ length: shown.length }, (_, index) => index + 1));
      expect(shown.length).toBeLessThan(sent);
    } finally {
      await small.close();
    }
  });

  test('any frame is answered, or closed with a code, and harms nobody else (G76)', async () => {
    const alice = await member('alice');
    const names = fc.constantFrom('auth', 'ping', 'join-group', 'resume', 'connect', 'error', '__proto__', 'api-x', '');
    const object = fc.dictionary(
      fc.constantFrom('id', 'payload', 'groupId', 'positions', 'token', '__proto__'),
      fc.jsonValue(),
    );
    const frames = fc.oneof(
      fc
        .tuple(fc.oneof(names, fc.string(), fc.jsonValue()), object)
        .map(([type, fields]) => JSON.stringify({ ...fields, type })),
      fc.json(),
      fc.string(),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    );
    async function outcome(isMember: boolean, frame: string | Buffer): Promise<void> {
      const raw = isMember ? await member('mallory') : await open();
      raw.send(frame);
      raw.send({ type: 'ping', id: 4_711 });
      const outcomes = ['pong', 'session-ending', 'auth-error'];
      const { type, code } = await until('an outcome', () =>
        raw.frames.find((each) => outcomes.includes(each.type) && (each.type !== 'pong' || each['id'] === 4_711)),
      );
      expect(type === 'pong' || isErrorCode(code)).toBe(true);
      if (type !== 'pong') expect((await raw.closed()).reason).toMatch(/^[A-Z_]+: /);
      raw.close();
    }
    await fc.assert(
      fc.asyncProperty(fc.array(frames, { minLength: 40, maxLength: 40 }), async (all) => {
        await Promise.all(all.flatMap((frame) => [outcome(true, frame), outcome(false, frame)]));
      }),
      { numRuns: 3 },
    );
    expect(await alice.ask('join-group', { groupId: '1' })).toMatchObject({ groupId: '1' });
    expect(relay.logged.filter(({ level }) => level >= 50)).toEqual([]);
  });
});
