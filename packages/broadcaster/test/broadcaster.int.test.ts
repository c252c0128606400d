import { networkInterfaces } from 'node:os';
import { startPathProxy, TEST_SECRETS, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Relay } from '../../../services/socket-relay/src/relay.ts';
import { type Broadcaster, type BroadcasterOptions, type ConnectionState, createBroadcaster } from '../src/index.ts';
import { describeHttp } from './http.suite.ts';
import { describePublisher, failure, NOWHERE, signedBy } from './publisher.suite.ts';
import { type Listener, listenIn, startRelayHere } from './relay-under-test.ts';

const SECRET = TEST_SECRETS.RELAY_SERVICE_SECRET;
let relay: Relay & { url: string };
let broadcasters: Broadcaster[] = [];
let listeners: Listener[] = [];
let groups = 0;

beforeAll(async () => {
  relay = await startRelayHere({ PUBLIC_BROADCAST_API: '1' });
});
afterAll(async () => {
  await relay.close();
});
afterEach(async () => {
  for (const broadcaster of broadcasters) await broadcaster.close();
  for (const { socket } of listeners) socket.close();
  [broadcasters, listeners] = [[], []];
});

function open(options: Partial<BroadcasterOptions> = {}): Broadcaster {
  const auth = options.tokenProvider ? {} : { serviceSecret: SECRET };
  const broadcaster = createBroadcaster({ url: relay.url, ...auth, ...options });
  broadcasters.push(broadcaster);
  return broadcaster;
}

async function listen(userId: string, ...groupIds: string[]): Promise<Listener> {
  const listener = await listenIn(relay.url, userId, groupIds);
  listeners.push(listener);
  return listener;
}

/** A group no other test has used. */
function newGroup(): string {
  groups += 1;
  return `group-${groups}`;
}

describePublisher('over a socket', { open, listen, newGroup });
describeHttp({ port: () => relay.port, internalPort: () => relay.internalPort, listen, newGroup });

describe('a broadcast', () => {
  test('of many at once keeps the order of the calls in every group', async () => {
    const groupIds = [newGroup(), newGroup(), newGroup()];
    const { messages } = await listen('alice', ...groupIds);
    const broadcaster = open();
    const calls = Array.from({ length: 300 }, (_, index) => ({ groupId: groupIds[index % 3] ?? '', index }));
    const results = await Promise.all(
      calls.map(async ({ groupId, index }) => broadcaster.broadcastMessage({ groupId, message: { index } })),
    );
    await until('every message', () => messages.length === calls.length);
    for (const groupId of groupIds) {
      const expected = calls.filter((call) => call.groupId === groupId).map(({ index }) => index);
      expect(messages.filter((message) => message.groupId === groupId).map((message) => message['index'])).toEqual(
        expected,
      );
      const seqs = results.filter((result) => result.groupId === groupId).map(({ position }) => position?.seq);
      expect(seqs).toEqual(expected.map((_, at) => at + 1));
    }
  });
});

describe('a broadcast that the relay refuses', () => {
  test('leaves the connection and the calls after it as they are', async () => {
    const groupId = newGroup();
    const states: ConnectionState[] = [];
    const broadcaster = open({ onStateChange: (state) => states.push(state) });
    const refused = failure(broadcaster.broadcastMessage({ groupId: 'not an id', message: {} }));
    const accepted = broadcaster.broadcastMessage({ groupId, message: {} });
    expect((await refused).code).toBe('INVALID_PAYLOAD');
    expect((await accepted).position?.seq).toBe(1);
    expect(states.map(({ name }) => name)).toEqual(['connecting', 'connected']);
  });
});

describe('a relay that does not take the token', () => {
  test.each<[string, Partial<BroadcasterOptions>]>([
    ['a wrong secret', { serviceSecret: `${SECRET}x` }],
    ['a token without the scope', { tokenProvider: signedBy(SECRET, 'monitor') }],
  ])('%s is a state of its own', async (_, options) => {
    const states: ConnectionState[] = [];
    const broadcaster = open({ timeoutMs: 60_000, onStateChange: (state) => states.push(state), ...options });
    const error = await failure(broadcaster.broadcastMessage({ groupId: 1, message: {} }));
    expect(error).toMatchObject({ code: 'SERVICE_TOKEN_INVALID', retryable: false });
    expect(broadcaster.connected).toBe(false);
    expect(states[0]).toEqual({ name: 'connecting' });
    expect(states[1]).toMatchObject({ name: 'refused', error: { code: 'SERVICE_TOKEN_INVALID', retryable: false } });
  });

  test('is asked again all the same, and takes calls once it takes the token', async () => {
    let isRight = false;
    const broadcaster = open({ tokenProvider: async () => signedBy(isRight ? SECRET : `${SECRET}x`, 'broadcast')() });
    expect((await failure(broadcaster.broadcastMessage({ groupId: 1, message: {} }))).code).toBe(
      'SERVICE_TOKEN_INVALID',
    );
    isRight = true;
    await until('a connection', () => broadcaster.connected);
    expect((await broadcaster.broadcastMessage({ groupId: newGroup(), message: {} })).position?.seq).toBe(1);
  });

  test('has not refused one that cannot be had: calls wait for it, and say why they failed', async () => {
    const states: ConnectionState[] = [];
    const broadcaster = open({
      timeoutMs: 500,
      tokenProvider: async () => Promise.reject(new Error('the vault is closed')),
      onStateChange: (state) => states.push(state),
    });
    const error = await failure(broadcaster.broadcastMessage({ groupId: newGroup(), message: {} }));
    expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
    expect(error.message).toContain('there is no service token (the vault is closed)');
    expect(states[1]).toMatchObject({ name: 'unreachable', error: { message: expect.stringContaining('the vault') } });
  });

  test('is asked again, with a new token, and what waited is sent', async () => {
    let asked = 0;
    const broadcaster = open({
      tokenProvider: async () => {
        asked += 1;
        const secret = asked === 1 ? `${SECRET}x` : SECRET;
        return signServiceToken({ secret, scopes: ['broadcast'], subject: 'x' });
      },
    });
    const result = await broadcaster.broadcastMessage({ groupId: newGroup(), message: {} });
    expect(result.position?.seq).toBe(1);
    expect(asked).toBe(2);
  });
});

describe('calls that wait', () => {
  test('fail after the time they were given, where no relay can be reached', async () => {
    const broadcaster = open({ url: NOWHERE, timeoutMs: 300 });
    const error = await failure(broadcaster.broadcastMessage({ groupId: 1, message: {} }));
    expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
    const why = `the relay at ${NOWHERE} cannot be reached (ECONNREFUSED)`;
    expect(error.message).toBe(`unable to send api-broadcast-message; ${why} within 300 ms`);
  });

  test('say what is there instead of a relay', async () => {
    const site = await startPathProxy(relay.port, '/rt');
    const states: ConnectionState[] = [];
    const url = site.url.replace('/rt', '/elsewhere');
    const broadcaster = open({ url, timeoutMs: 300, onStateChange: (state) => states.push(state) });
    const error = await failure(broadcaster.broadcastMessage({ groupId: 1, message: {} }));
    expect(error.message).toContain(`the relay at ${url} cannot be reached (Unexpected server response: 404`);
    expect(states.at(-1)).toMatchObject({ name: 'unreachable', error: { message: expect.stringContaining(url) } });
    await broadcaster.close();
    await site.close();
  });

  test('name the port that is wanted, at the internal port of a relay', async () => {
    const url = `http://127.0.0.1:${relay.internalPort}`;
    const states: ConnectionState[] = [];
    const broadcaster = open({ url, timeoutMs: 300, onStateChange: (state) => states.push(state) });
    const error = await failure(broadcaster.broadcastMessage({ groupId: 1, message: {} }));
    const why =
      'no relay is at this port and path: createBroadcaster wants the public port, by default 3001; createHttpBroadcaster takes the internal one, by default 3002';
    // Something else may be behind the address in a moment, such as a proxy whose relay is about to start.
    expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
    expect(error.message).toContain(why);
    expect(states.at(-1)).toMatchObject({ name: 'unreachable', error: { message: expect.stringContaining(why) } });
  });
});

describe('a relay’s URL', () => {
  test.each(['/rt', '/rt/', '/a/b.c'])('may have a path, behind which the relay is: %s', async (path) => {
    const site = await startPathProxy(relay.port, path.replace(/\/$/, ''));
    const groupId = newGroup();
    const broadcaster = open({ url: `${new URL(site.url).origin}${path}` });
    expect((await broadcaster.broadcastMessage({ groupId, message: {} })).position?.seq).toBe(1);
    await broadcaster.close();
    await site.close();
  });

  test('may be an IPv6 address', async () => {
    const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
    const host = hasIpv6 ? '[::1]' : 'localhost';
    const result = await open({ url: `http://${host}:${relay.port}` }).broadcastMessage({
      groupId: newGroup(),
      message: {},
    });
    expect(result.position?.seq).toBe(1);
  });

  test.each([
    'localhost:3001',
    '127.0.0.1:3001',
    'relay',
    '/rt',
    '',
    'ftp://relay',
    'http://',
    'http://user:hidden@relay:3001',
    'user:hidden@relay:3001',
    'http://relay:3001?token=hidden',
    'http://relay:3001/#hidden',
    undefined,
    null,
    3001,
  ])('is refused at once, and by name, where it is none: %s', (url) => {
    const create = (): unknown => createBroadcaster({ url: url as string, serviceSecret: SECRET });
    expect(create).toThrow(TypeError);
    expect(create).toThrow(/^createBroadcaster needs url, the relay's public URL such as http:\/\/localhost:3001, /);
    expect(create).not.toThrow(/hidden/);
  });
});

describe('close', () => {
  test('is the last state', async () => {
    const states: ConnectionState[] = [];
    await open({ url: NOWHERE, onStateChange: (state) => states.push(state) }).close();
    expect(states.at(-1)).toEqual({ name: 'closed' });
  });

  test('ends the connection, and for good', async () => {
    const connections = async (): Promise<number> => {
      const token = await signServiceToken({ secret: SECRET, scopes: ['broadcast'], subject: 'x' });
      const url = `http://127.0.0.1:${relay.internalPort}/v1/info`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      return ((await answer.json()) as { connections: number }).connections;
    };
    await until('no connection', async () => (await connections()) === 0);
    const broadcaster = open();
    await broadcaster.broadcastMessage({ groupId: newGroup(), message: {} });
    expect([await connections(), broadcaster.connected]).toEqual([1, true]);
    await broadcaster.close();
    await until('no connection', async () => (await connections()) === 0);
    expect(broadcaster.connected).toBe(false);
  });
});

test('a connection outlives its token: it is refreshed without a break', async () => {
  const states: string[] = [];
  let asked = 0;
  const broadcaster = open({
    onStateChange: ({ name }) => states.push(name),
    tokenProvider: async () => {
      asked += 1;
      return signServiceToken({ secret: SECRET, scopes: ['broadcast'], subject: 'x', ttlSeconds: 2 });
    },
  });
  const groupId = newGroup();
  await broadcaster.broadcastMessage({ groupId, message: {} });
  await until('the fifth token', () => asked >= 5, 20_000);
  expect((await broadcaster.broadcastMessage({ groupId, message: {} })).position?.seq).toBe(2);
  expect(states).toEqual(['connecting', 'connected']);
});
