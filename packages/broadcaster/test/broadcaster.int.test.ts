import { networkInterfaces } from 'node:os';
import type { BroadcastInput } from '@groupcast/shared';
import { received, startPathProxy, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Relay } from '../../../services/socket-relay/src/relay.ts';
import {
  type Broadcaster,
  type BroadcasterOptions,
  type ConnectionState,
  createBroadcaster,
  GroupcastError,
} from '../src/index.ts';
import { type Listener, listenIn, startRelayHere } from './relay-under-test.ts';

const SECRET = TEST_SECRETS.RELAY_SERVICE_SECRET;
/** Nobody listens on the port of discard. */
const NOWHERE = 'http://127.0.0.1:9';

let relay: Relay & { url: string };
let broadcasters: Broadcaster[] = [];
let listeners: Listener[] = [];
let groups = 0;

beforeAll(async () => {
  relay = await startRelayHere();
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

async function failure(promise: Promise<unknown>): Promise<GroupcastError> {
  const error: unknown = await promise.then(
    () => 'it succeeded',
    (reason: unknown) => reason,
  );
  if (error instanceof GroupcastError) return error;
  throw new Error('expected a GroupcastError', { cause: error });
}

describe('a broadcast', () => {
  test('answers with its position and the connections that it reached', async () => {
    const groupId = newGroup();
    await listen('alice', groupId);
    const result = await open().broadcastMessage({ groupId, id: 7, message: { content: 'hi' } });
    expect(result).toEqual({
      id: '7',
      groupId,
      position: { epoch: expect.stringMatching(/^\d+-\w+$/), seq: 1 },
      duplicate: false,
      recipients: { connections: 1, nodes: 1 },
      warnings: [],
    });
  });

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

  test('takes the id of its message, so that a caller who calls again is recognised', async () => {
    const groupId = newGroup();
    const { messages } = await listen('alice', groupId);
    const broadcaster = open();
    const first = await broadcaster.broadcastMessage({ groupId, message: { id: 5, content: 'hi' } });
    const second = await broadcaster.broadcastMessage({ groupId, message: { id: '5', content: 'hi' } });
    expect(first).toMatchObject({ id: '5', duplicate: false });
    expect(second).toMatchObject({ id: '5', duplicate: true, position: first.position });
    await broadcaster.broadcastMessage({ groupId, id: 'last', message: {} });
    await until('the last message', () => messages.some(({ id }) => id === 'last'));
    expect(messages.map(({ id }) => id)).toEqual(['5', 'last']);
  });

  test('about a message has an id of its own', async () => {
    const groupId = newGroup();
    const broadcaster = open();
    await broadcaster.broadcastMessage({ groupId, message: { id: '5' } });
    const edit = { groupId, event: 'message-updated', message: { id: '5', messageId: '5' } };
    const [first, second] = [await broadcaster.broadcastMessage(edit), await broadcaster.broadcastMessage(edit)];
    expect(new Set(['5', first.id, second.id]).size).toBe(3);
    expect([first.duplicate, second.duplicate]).toEqual([false, false]);
  });
});

describe('a broadcast that expects users', () => {
  test('has their time on top of its own, alone and in a batch', async () => {
    const groupId = newGroup();
    const [broadcaster, bob] = [open({ timeoutMs: 1_000 }), await listen('bob', groupId)];
    const { ws } = bob.socket.io.engine.transport as unknown as { ws: { pause(): void } };
    ws.pause();
    const expecting = (withinMs: number) => ({ groupId, message: {}, expectedUserIds: ['bob'], withinMs });
    const delivery = { proven: [], pending: ['bob'], absent: [] };
    const [alone, batch] = await Promise.all([
      broadcaster.broadcastMessage({ ...expecting(2_000), waitFor: 'proven' }),
      broadcaster.broadcastBatch([expecting(1), expecting(2_000), { groupId, message: {} }]),
    ]);
    expect(alone).toMatchObject({ delivery });
    expect(batch).toMatchObject([{ ok: true, delivery }, { ok: true, delivery }, { ok: true }]);
  });

  test('is refused by the relay where the time is none', async () => {
    const [broadcaster, groupId] = [open(), newGroup()];
    for (const withinMs of [Number.NaN, -1, 1e12, 'soon' as unknown as number]) {
      const input = { groupId, expectedUserIds: ['bob'], withinMs };
      expect(await failure(broadcaster.broadcastMessage({ ...input, message: {} }))).toMatchObject({
        code: 'INVALID_PAYLOAD',
      });
      expect(await failure(broadcaster.awaitDelivery({ ...input, seq: 1 }))).toMatchObject({ code: 'INVALID_PAYLOAD' });
    }
  });
});

describe('the other calls', () => {
  test('a batch answers every item in order, and a bad one fails alone', async () => {
    const groupId = newGroup();
    const { messages } = await listen('alice', groupId);
    const bad = { groupId: 'not an id', message: {} };
    const results = await open().broadcastBatch([
      { groupId, message: { n: 1 } },
      bad,
      { groupId, message: { n: 2 } },
      { groupId, message: { n: 3 }, epoch: '1-a', seq: 7 },
    ]);
    expect(results).toMatchObject([
      { ok: true, position: { seq: 1 } },
      { ok: false, error: { code: 'INVALID_PAYLOAD', retryable: false } },
      { ok: true, position: { seq: 2 } },
      { ok: false, error: { code: 'CONFLICT', retryable: false } },
    ]);
    await until('both messages', () => messages.length === 2);
    expect(messages.map((message) => message['n'])).toEqual([1, 2]);
  });

  test('notifyUsers reaches every connection of the users, in no group', async () => {
    const [one, two] = [await listen('bob'), await listen('bob')];
    const heard = Promise.all([one, two].map(async ({ socket }) => received(socket, 'invoice-paid')));
    const answer = await open().notifyUsers({ userIds: ['bob', 'nobody'], event: 'invoice-paid', data: { n: 1 } });
    expect(answer).toEqual({ recipients: 2 });
    expect(await heard).toEqual([{ n: 1 }, { n: 1 }]);
  });

  test('addMembers and removeMembers are done when they resolve', async () => {
    const groupId = newGroup();
    const { socket } = await listen('carol');
    const broadcaster = open();
    const joined = received(socket, 'joined-groups');
    expect(await broadcaster.addMembers({ groupId, userIds: ['carol'] })).toBeUndefined();
    expect(await joined).toEqual({ groups: [{ groupId, position: null }] });
    const inside = await broadcaster.broadcastMessage({ groupId, message: {} });
    expect(inside.recipients.connections).toBe(1);

    const left = received(socket, 'left-groups');
    expect(await broadcaster.removeMembers({ groupId, userIds: ['carol'] })).toBeUndefined();
    expect(await left).toMatchObject({ groups: [groupId] });
    const outside = await broadcaster.broadcastMessage({ groupId, message: {} });
    expect(outside).toMatchObject({ recipients: { connections: 0, nodes: 0 }, warnings: ['NO_RECIPIENTS'] });
  });

  test('disconnectUsers ends their connections, and says why', async () => {
    const { socket } = await listen('dave');
    const [ending, gone] = [received(socket, 'session-ending'), received(socket, 'disconnect')];
    const answer = await open().disconnectUsers({ userIds: ['dave'], code: 'ACCOUNT_CLOSED' });
    expect(answer).toEqual({ connections: 1 });
    expect(await ending).toMatchObject({ code: 'ACCOUNT_CLOSED', next: 'stop' });
    await gone;
  });
});

describe('a broadcast that the relay refuses', () => {
  const big = { content: 'x'.repeat(70_000) };

  test.each<[string, boolean, Partial<BroadcastInput>]>([
    ['INVALID_PAYLOAD', false, { groupId: 'not an id' }],
    ['INVALID_PAYLOAD', false, { event: 'joined-groups' }],
    ['INVALID_PAYLOAD', false, { epoch: '1-a' }],
    ['INVALID_PAYLOAD', false, { message: { id: 'not an id' } }],
    ['PAYLOAD_TOO_LARGE', false, { message: big }],
  ])('rejects with %s, retryable: %s', async (code, retryable, changes) => {
    const error = await failure(open().broadcastMessage({ groupId: newGroup(), message: {}, ...changes }));
    expect(error).toMatchObject({ code, retryable });
    expect(error.message).toMatch(/^unable to /);
  });

  test.each(['', null, undefined, 1, {}, { groupId: 1 }, { groupId: 1, message: null }, { groupId: 1, message: 'hi' }])(
    'may be anything: %j is INVALID_PAYLOAD, alone and in a batch',
    async (malformed) => {
      const broadcaster = open();
      const input = malformed as BroadcastInput;
      expect(await failure(broadcaster.broadcastMessage(input))).toMatchObject({ code: 'INVALID_PAYLOAD' });
      const results = await broadcaster.broadcastBatch([input, { groupId: newGroup(), message: {} }]);
      expect(results).toMatchObject([{ ok: false, error: { code: 'INVALID_PAYLOAD' } }, { ok: true }]);
    },
  );

  test('for its position says where the group stands, and whether to come again', async () => {
    const groupId = newGroup();
    const broadcaster = open();
    const at = (seq: number, id: string): BroadcastInput => ({ groupId, id, epoch: '1-a', seq, message: {} });
    await broadcaster.broadcastMessage(at(1, 'one'));
    const head = { epoch: '1-a', seq: 1 };
    const gap = await failure(broadcaster.broadcastMessage(at(3, 'three')));
    expect(gap).toMatchObject({ code: 'POSITION_GAP', retryable: true, details: { head } });
    const conflict = await failure(broadcaster.broadcastMessage(at(1, 'another')));
    expect(conflict).toMatchObject({ code: 'CONFLICT', retryable: false, details: { head } });
  });

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

describe('a broadcast that cannot be sent at all', () => {
  function circular(): BroadcastInput {
    const message: Record<string, never> = {};
    Object.assign(message, { self: message });
    return { groupId: newGroup(), message };
  }

  test('rejects with INVALID_PAYLOAD, and takes no other call with it', async () => {
    const groupId = newGroup();
    const broadcaster = open();
    // The first is made before there is a connection, the second on one.
    const before = failure(broadcaster.broadcastMessage(circular()));
    const first = broadcaster.broadcastMessage({ groupId, message: {} });
    expect(await before).toMatchObject({ code: 'INVALID_PAYLOAD', retryable: false });
    expect((await first).position?.seq).toBe(1);
    expect(await failure(broadcaster.broadcastMessage(circular()))).toMatchObject({ code: 'INVALID_PAYLOAD' });
    expect((await broadcaster.broadcastMessage({ groupId, message: {} })).position?.seq).toBe(2);
  });

  test('because it is larger than a packet may be rejects with PAYLOAD_TOO_LARGE, and takes no other call with it', async () => {
    const groupId = newGroup();
    const broadcaster = open();
    // 1.2 MB in 400,000 characters, and a batch with more characters that is allowed.
    const huge = failure(broadcaster.broadcastMessage({ groupId, message: { content: '…'.repeat(400_000) } }));
    const items = Array.from({ length: 14 }, () => ({ groupId, message: { content: 'x'.repeat(60_000) } }));
    const batch = broadcaster.broadcastBatch(items);
    const last = broadcaster.broadcastMessage({ groupId: newGroup(), message: {} });
    expect(await huge).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', retryable: false });
    expect((await batch).map(({ ok }) => ok)).toEqual(items.map(() => true));
    expect((await last).position?.seq).toBe(1);
  });
});

describe('a relay that does not take the token', () => {
  const signedBy = (secret: string, scope: 'broadcast' | 'monitor') => async () =>
    signServiceToken({ secret, scopes: [scope], subject: 'x' });

  test.each<[string, Partial<BroadcasterOptions>]>([
    ['a wrong secret', { serviceSecret: `${SECRET}x` }],
    ['a token of another secret', { tokenProvider: signedBy(`${SECRET}x`, 'broadcast') }],
    ['a token without the scope', { tokenProvider: signedBy(SECRET, 'monitor') }],
    ['a user’s token', { tokenProvider: async () => tokenFor('alice') }],
  ])('%s rejects calls at once, with the relay’s own code, and is a state of its own', async (_, options) => {
    const states: ConnectionState[] = [];
    // Longer than this test may take: none of them waits for it.
    const broadcaster = open({ timeoutMs: 60_000, onStateChange: (state) => states.push(state), ...options });
    const calls = [1, 2].map(async (id) => failure(broadcaster.broadcastMessage({ groupId: 1, id, message: {} })));
    for (const error of [
      ...(await Promise.all(calls)),
      await failure(broadcaster.addMembers({ groupId: 1, userIds: [] })),
    ]) {
      expect(error).toMatchObject({ code: 'SERVICE_TOKEN_INVALID', retryable: false });
      expect(error.message).toMatch(/^unable to send api-[a-z-]+; the relay at http:\S+ refuses this back end: /);
      expect(error.message).toContain('unable to accept the service token');
    }
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

  test('needs a secret or a provider to begin with', () => {
    expect(() => createBroadcaster({ url: relay.url })).toThrow(TypeError);
    expect(() => createBroadcaster({ url: relay.url, serviceSecret: '' })).toThrow(TypeError);
  });
});

describe('calls that wait', () => {
  test('have a limit; one more is refused at once', async () => {
    const broadcaster = open({ url: NOWHERE, maxPending: 2 });
    const waiting = [1, 2].map(async (id) => failure(broadcaster.broadcastMessage({ groupId: 1, id, message: {} })));
    const error = await failure(broadcaster.broadcastMessage({ groupId: 1, id: 3, message: {} }));
    expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
    expect(error.message).toContain('2 calls are already waiting');
    await broadcaster.close();
    expect((await Promise.all(waiting)).map(({ message }) => message)).not.toContain(error.message);
  });

  test('make room for others once they are answered', async () => {
    const groupId = newGroup();
    const broadcaster = open({ maxPending: 1 });
    for (const seq of [1, 2, 3]) {
      expect((await broadcaster.broadcastMessage({ groupId, message: {} })).position?.seq).toBe(seq);
    }
  });

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
    expect(error.message).toContain(`the relay at ${url} cannot be reached (Unexpected server response: 404)`);
    expect(states.at(-1)).toMatchObject({ name: 'unreachable', error: { message: expect.stringContaining(url) } });
    await broadcaster.close();
    await site.close();
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
  test('rejects what waits, and every later call', async () => {
    const states: ConnectionState[] = [];
    const broadcaster = open({ url: NOWHERE, onStateChange: (state) => states.push(state) });
    const waiting = [1, 2, 3].map(async (id) => failure(broadcaster.broadcastMessage({ groupId: 1, id, message: {} })));
    await broadcaster.close();
    for (const error of await Promise.all(waiting)) {
      expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
      expect(error.message).toContain('the broadcaster was closed');
    }
    const later = await failure(broadcaster.notifyUsers({ userIds: ['a'], event: 'x', data: {} }));
    expect(later).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: false });
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
