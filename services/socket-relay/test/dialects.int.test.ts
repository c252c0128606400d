import { received, startRedis, tokenFor, until } from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { openRawClient, type RawClient } from './raw-client.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

/*
 * Front ends that exist, each by what its code emits and listens to, and by nothing else: none passes an acknowledgement, sends a position,
 * or reads an error that it does not name.
 */

const ORIGIN = 'https://app.example.com';
const NAMES = 'conversation-colon,group-array,underscore-events,underscore-message,aurora';
const EPOCH = '1-test';
type Heard = [event: string, payload: unknown];

interface Page {
  socket: Socket;
  /** Everything that it was told, in order. */
  heard: Heard[];
}

interface SetUp {
  api: ApiStub;
  relays: readonly RelayUnderTest[];
  close(): Promise<void>;
}

async function start(count: number): Promise<SetUp> {
  const api = await startApiStub();
  const redis = count > 1 ? await startRedis() : undefined;
  const env = {
    API_URL: api.url,
    RELAY_DIALECTS: NAMES,
    RELAY_DIALECT_BY_HOST: 'localhost=underscore-message',
    AUTH_TOKEN_FROM: 'auth,cookie:token',
    SOCKET_CORS_ORIGIN: ORIGIN,
    RELAY_WS_PATH: '/ws',
    ...(redis ? { REDIS_URL: redis.url } : {}),
  };
  const relays = await Promise.all(Array.from({ length: count }, async () => startRelayUnderTest(env)));
  return {
    api,
    relays,
    async close() {
      await Promise.all(relays.map(async (relay) => relay.close()));
      await redis?.stop();
      await api.close();
    },
  };
}

describe.each([
  ['on one relay', 1],
  ['on two relays', 2],
] as const)('front ends %s', (_, count) => {
  let setUp: SetUp;
  const pages: Page[] = [];
  let group = 0;
  let seq = 0;
  let groupId = '';
  beforeAll(async () => {
    setUp = await start(count);
  });
  afterAll(async () => setUp.close());
  beforeEach(() => {
    group += 1;
    seq = 0;
    groupId = `${group}`;
    const { api } = setUp;
    api.events.length = 0;
    api.members.clear();
    for (const userId of ['alice', 'bob', 'carol', 'dave']) api.members.add(`${userId} ${groupId}`);
    api.answerEvent = ({ event, payload, userId }) => {
      const { content, clientMessageId } = payload as Record<string, string>;
      if (event !== 'send-message') return { body: { ok: true, seq: 1 } };
      if (content === 'refused') {
        return {
          body: { ok: false, error: { code: 'MUTED', message: 'unable to send; you are muted', retryable: false } },
        };
      }
      const id = `m${groupId}-${seq + 1}`;
      void say({ content, senderId: userId, clientMessageId });
      return { body: { ok: true, message: { id, groupId, senderId: userId, content } } };
    };
  });
  afterEach(() => {
    for (const { socket } of pages.splice(0)) socket.close();
  });

  /** The back end has saved a message, and broadcasts it. */
  async function say(fields: object, event = 'new-message'): Promise<unknown> {
    seq += 1;
    const position = { epoch: EPOCH, seq };
    const message = { createdAt: '2026-01-01T00:00:00.000Z', ...fields };
    return setUp.relays[0]?.broadcaster.broadcastMessage({
      groupId,
      event,
      id: `m${groupId}-${seq}`,
      ...position,
      message,
    });
  }

  async function open(
    dialect: string | undefined,
    options: {
      auth?: object;
      cookie?: string;
      at?: 'first' | 'last';
      transports?: ('websocket' | 'polling')[];
      host?: string;
      headers?: Record<string, string>;
    },
  ): Promise<Page> {
    const { auth = {}, cookie, at = 'first', transports = ['websocket'], host = '127.0.0.1', headers = {} } = options;
    const relay = setUp.relays.at(at === 'first' ? 0 : -1);
    const query = dialect === undefined ? '' : `?dialect=${dialect}`;
    const socket = io(`http://${host}:${relay?.port}${query}`, {
      forceNew: true,
      reconnection: false,
      transports,
      auth,
      extraHeaders: { origin: ORIGIN, ...(cookie === undefined ? {} : { cookie }), ...headers },
    });
    const page: Page = { socket, heard: [] };
    pages.push(page);
    socket.onAny((event: string, payload: unknown) => page.heard.push([event, payload]));
    await received(socket, 'connect');
    return page;
  }
  const withCookie = async (userId: string, groups: readonly string[] = []) => ({
    cookie: `token=${await tokenFor(userId, groups)}`,
  });
  const names = ({ heard }: Page): string[] => heard.map(([event]) => event);
  const heardBy = ({ heard }: Page, event: string): unknown[] =>
    heard.filter(([name]) => name === event).map(([, payload]) => payload);
  const lineOf = (relay: RelayUnderTest | undefined, text: string): boolean =>
    relay?.logged.some(({ msg }) => msg.includes(text)) === true;
  /** Waits until a page is in the group, as the page itself cannot. */
  async function isIn(connections: number): Promise<void> {
    const members = async (): Promise<number> =>
      (await setUp.relays[0]?.broadcaster.getPresence({ groupId }))?.numConnections ?? 0;
    await until(`${connections} connections in the group`, async () => (await members()) === connections);
  }

  describe.each([[['websocket'] as const], [['polling'] as const]])('over %s', (transports) => {
    const over = { transports: [...transports] };

    test('conversation-colon: message:new:<id> and message:new to all who have joined, its sender included', async () => {
      const alice = await open('conversation-colon', { ...over, ...(await withCookie('alice')) });
      const bob = await open('conversation-colon', { ...over, ...(await withCookie('bob')), at: 'last' });
      const stranger = await open('conversation-colon', { ...over, ...(await withCookie('eve')), at: 'last' });
      for (const { socket } of [alice, bob, stranger]) socket.emit('join:conversation', groupId);
      await isIn(2);
      alice.socket.emit('message:sent', { conversationId: groupId, content: 'hi' });
      const sender = { userId: 'alice', name: 'Alice A', picture: '/a.png', custom: { email: 'a@example.com' } };
      await say({ senderId: 'alice', sender, content: 'hi' });
      for (const page of [alice, bob]) await until('both events', () => page.heard.length === 2);
      const message = {
        id: `m${groupId}-1`,
        _id: `m${groupId}-1`,
        groupId,
        chat: groupId,
        epoch: EPOCH,
        seq: 1,
        senderId: 'alice',
        sender: {
          ...sender,
          _id: 'alice',
          fullName: 'Alice A',
          email: 'a@example.com',
          photo: '/a.png',
          isOnline: true,
        },
        content: 'hi',
        createdAt: '2026-01-01T00:00:00.000Z',
      };
      for (const { heard } of [alice, bob]) {
        expect(heard).toEqual([
          [`message:new:${groupId}`, message],
          ['message:new', { ...message, conversationId: groupId }],
        ]);
      }
      bob.socket.emit('leave:conversation', groupId);
      await isIn(1);
      await say({ senderId: 'alice', content: 'again' });
      await until('the second message', () => alice.heard.length === 4);
      expect(bob.heard).toHaveLength(2);
      // Nobody reads it, and the hint was never stored.
      expect(stranger.heard).toEqual([
        ['error', expect.objectContaining({ code: 'NOT_A_MEMBER', event: 'join:conversation' })],
      ]);
      expect(setUp.api.events.filter(({ event }) => event === 'send-message' || event === 'message:sent')).toEqual([]);
      const told = setUp.relays.flatMap(({ logged }) => logged.filter(({ level }) => level === 40));
      expect(told.map(({ msg }) => msg).join()).toContain(
        `unable to join group "${groupId}"; you are not a member of it`,
      );
    });

    test('group-array: joined-groups is an array of numbers, and so is groupId in new-message', async () => {
      const auth = { token: await tokenFor('alice', []), userId: 'alice' };
      const alice = await open('group-array', { ...over, auth });
      await until('the groups', () => alice.heard.length > 0);
      expect(alice.heard[0]).toEqual(['joined-groups', [Number(groupId)]]);
      await say({ senderId: '12', content: 'hi' });
      await until('the message', () => heardBy(alice, 'new-message').length === 1);
      expect(heardBy(alice, 'new-message')).toEqual([
        expect.objectContaining({ groupId: Number(groupId), senderId: 12, content: 'hi', id: `m${groupId}-1` }),
      ]);
      const theirs = io(`${setUp.relays[0]?.url}?dialect=group-array`, {
        forceNew: true,
        reconnection: false,
        auth: { token: 'api-server', type: 'api' },
      });
      const refused = await received<Error & { data: { code: string } }>(theirs, 'connect_error');
      expect(refused.data.code).toBe('SERVICE_TOKEN_INVALID');
      theirs.close();
    });

    test('underscore-events: members who have opened a conversation get its messages, the others a notification', async () => {
      const alice = await open('underscore-events', { ...over, ...(await withCookie('alice')) });
      const bob = await open('underscore-events', {
        ...over,
        ...(await withCookie('bob')),
        at: 'last',
      });
      await isIn(2);
      alice.socket.emit('join_conversation', { conversationId: groupId });
      alice.socket.emit('send_message', { conversationId: groupId, content: 'one' });
      for (const page of [alice, bob]) await until('the first', () => page.heard.length === 1);
      const message = (n: number, content: string) =>
        expect.objectContaining({ id: `m${groupId}-${n}`, conversationId: groupId, senderId: 'alice', content });
      expect(alice.heard).toEqual([['message_received', message(1, 'one')]]);
      expect(bob.heard).toEqual([['new_message_notification', message(1, 'one')]]);

      bob.socket.emit('join_conversation', groupId);
      alice.socket.emit('leave_conversation', groupId);
      await until('bob to have it open, and alice not', async () => {
        await say({ senderId: 'alice', content: 'two' });
        return names(bob).includes('message_received') && names(alice).includes('new_message_notification');
      });
      await say({ messageId: 'm7', senderId: 'alice' }, 'message-deleted');
      await say({ name: 'Lunch', userIds: ['bob'] }, 'group-created');
      await say({ userIds: ['bob'], addedBy: 'alice' }, 'member-added');
      await say({ userId: 'alice' }, 'group-deleted');
      await until('the end', () => names(alice).at(-1) === 'conversation_deleted');
      await until('the end', () => names(bob).at(-1) === 'conversation_deleted');
      expect(heardBy(bob, 'message_deleted')).toEqual([{ conversationId: groupId, messageId: 'm7' }]);
      // She does not have it open, and is no new member.
      expect(heardBy(alice, 'message_deleted')).toEqual([]);
      expect(heardBy(alice, 'conversation_created')).toHaveLength(1);
      expect(heardBy(bob, 'conversation_created')).toHaveLength(2);
      expect(heardBy(bob, 'conversation_created')[0]).toMatchObject({ conversationId: groupId, name: 'Lunch' });
      alice.socket.emit('send_message', { conversationId: groupId, content: 'refused' });
      await until('the refusal', () => names(alice).at(-1) === 'error');
      expect(alice.heard.at(-1)?.[1]).toEqual({
        code: 'MUTED',
        message: 'unable to send; you are muted',
        event: 'send_message',
      });
    });

    test('underscore-message: new_message to the others, and message_status of what is sent, delivered and read', async () => {
      const page = async (userId: string, at: 'first' | 'last') =>
        open(undefined, { ...over, at, host: 'localhost', auth: { token: await tokenFor(userId, []) } });
      const [alice, alices, bob] = [
        await page('alice', 'first'),
        await page('alice', 'last'),
        await page('bob', 'last'),
      ];
      for (const { socket } of [alice, alices, bob]) socket.emit('join_conversation', { conversationId: groupId });
      await isIn(3);
      alice.socket.emit('send_message', { conversationId: groupId, content: 'hi' });
      const [messageId, conversationId] = [`m${groupId}-1`, groupId];
      const status = (which: string, userId: string) => ({ conversationId, messageId, status: which, userId });
      await until('delivered', () => heardBy(alice, 'message_status').length === 2);
      expect(bob.heard[0]).toEqual([
        'new_message',
        { conversationId, message: expect.objectContaining({ id: messageId, senderId: 'alice', content: 'hi' }) },
      ]);
      bob.socket.emit('mark_read', { conversationId });
      await until('read', () => heardBy(alice, 'message_status').length === 3);
      expect(alice.heard).toEqual([
        ['message_status', status('sent', 'alice')],
        ['message_status', status('delivered', 'bob')],
        ['message_status', status('read', 'bob')],
      ]);
      // Another window of the sender has not shown it yet.
      expect(heardBy(alices, 'new_message')).toHaveLength(1);
      expect(heardBy(bob, 'message_status')).toEqual([]);
      // Over HTTP nobody knows the window: the page has shown it.
      await say({ senderId: 'alice', content: 'by REST' });
      await until('the second', () => heardBy(bob, 'new_message').length === 2);
      bob.socket.emit('mark_read', { conversationId, messageId });
      await until('the back end to be asked', () => setUp.api.events.some(({ event }) => event === 'mark-read'));
      expect(heardBy(alice, 'new_message')).toEqual([]);
      expect(heardBy(alices, 'new_message')).toHaveLength(1);
      const sent = setUp.api.events.findLast(({ event }) => event === 'send-message');
      expect(sent).toMatchObject({ dialect: 'underscore-message', payload: { alsoByHttp: true, groupId } });
    });

    test('aurora: a conversation that was joined says so, and calls go to the others in it', async () => {
      const page = async (userId: string, at: 'first' | 'last') =>
        open('aurora', { ...over, at, auth: { token: await tokenFor(userId, []) } });
      const [alice, bob, carol] = [
        await page('alice', 'first'),
        await page('bob', 'last'),
        await page('carol', 'last'),
      ];
      for (const { socket } of [alice, bob]) socket.emit('join_conversation', { conversationId: groupId });
      for (const { heard } of [alice, bob]) {
        await until('joined', () => heard.length === 1);
        expect(heard).toEqual([['joined_conversation', { conversationId: groupId }]]);
      }
      await isIn(2);
      alice.socket.emit('send_message', { conversationId: groupId, content: 'hi' });
      for (const { heard } of [alice, bob]) await until('the message', () => heard.length === 2);
      const message = expect.objectContaining({ conversationId: groupId, id: `m${groupId}-1`, content: 'hi' });
      expect([alice.heard[1], bob.heard[1]]).toEqual([
        ['new_message', message],
        ['new_message', message],
      ]);
      await until('the call to arrive', () => {
        alice.socket.emit('call_offer', { conversationId: groupId, data: { sdp: 'x' } });
        return names(bob).includes('call_offer');
      });
      expect(heardBy(bob, 'call_offer')[0]).toEqual({
        conversationId: groupId,
        fromUserId: 'alice',
        data: { sdp: 'x' },
      });
      for (const kind of ['answer', 'ice', 'hangup'])
        bob.socket.emit(`call_${kind}`, { conversationId: groupId, data: {} });
      await until('the answers', () => alice.heard.length === 5);
      expect(names(alice).slice(2)).toEqual(['call_answer', 'call_ice', 'call_hangup']);
      expect(carol.heard).toEqual([]);
    });
  });

  test('aurora over the raw door: one JSON object a frame, and an expired token says what to do', async () => {
    const raw = async (at: 0 | -1, headers: Record<string, string> = {}): Promise<RawClient> => {
      const client = await openRawClient(`${setUp.relays.at(at)?.url}/ws?dialect=aurora`, { headers });
      onTestFinished(() => client.close());
      return client;
    };
    const [alice, bob, late] = [await raw(0), await raw(-1), await raw(-1)];
    for (const [userId, page] of [
      ['alice', alice],
      ['bob', bob],
    ] as const) {
      // Both at once, as the page does after half a second without a connection.
      page.send({ type: 'auth', token: await tokenFor(userId, []) });
      page.send({ type: 'join_conversation', conversationId: groupId });
      await page.frame('joined_conversation');
      expect(page.frames).toEqual([
        { type: 'auth_success', message: 'authentication successful' },
        { type: 'joined_conversation', conversationId: groupId },
      ]);
    }
    await isIn(2);
    alice.send({ type: 'send_message', conversationId: groupId, content: 'hi' });
    for (const { frame } of [alice, bob]) {
      const { conversationId, content, senderId } = await frame('new_message');
      expect({ conversationId, content, senderId }).toEqual({
        conversationId: groupId,
        content: 'hi',
        senderId: 'alice',
      });
    }
    const lines = () => setUp.relays.flatMap(({ logged }) => logged.map(({ msg }) => msg));
    expect(lines().filter((line) => line === `Joined conversation: ${groupId}`)).toHaveLength(2);
    // Each relay counts its own.
    const here = 2 / count;
    const line = `New message in conversation ${groupId} from alice. Broadcast to ${here} connections.`;
    await until('the line of the message', () => lines().includes(line));
    alice.send({ type: 'call_offer', conversationId: groupId, data: { sdp: 'x' } });
    const offer = await bob.frame('call_offer');
    expect(offer).toEqual({ type: 'call_offer', conversationId: groupId, fromUserId: 'alice', data: { sdp: 'x' } });
    expect(alice.frames.map(({ type }) => type)).toEqual(['auth_success', 'joined_conversation', 'new_message']);

    late.send({ type: 'auth', token: await tokenFor('carol', [], -60) });
    const { message } = await late.frame('auth_error');
    expect(message).toMatch(/expired.*log in again/);
    expect((await late.closed()).code).toBe(1008);
    alice.send({ type: 'send_message', conversationId: 'elsewhere', content: 'x' });
    const { code } = await alice.frame('error');
    expect(code).toBe('NOT_A_MEMBER');

    // The page knows nothing of the cookie that its browser sends along.
    const both = await raw(0, { origin: ORIGIN, cookie: `token=${await tokenFor('dave', [])}` });
    await both.frame('auth_success');
    both.send({ type: 'auth', token: await tokenFor('dave', []) });
    both.send({ type: 'join_conversation', conversationId: groupId });
    await both.frame('joined_conversation');
    expect(both.frames.map(({ type }) => type)).toEqual(['auth_success', 'auth_success', 'joined_conversation']);
  });

  test('one message in the words of each, once, and encoded once for each dialect on a relay (G79)', async () => {
    const groups = [groupId];
    const ofUser = async (userId: string) => ({ auth: { token: await tokenFor(userId, groups) } });
    const all = await Promise.all([
      open('conversation-colon', { ...(await withCookie('alice', groups)) }),
      open('underscore-events', { ...(await withCookie('bob', groups)) }),
      open('underscore-message', await ofUser('carol')),
      open('native', await ofUser('dave')),
      ...Array.from({ length: 8 }, async () => open('conversation-colon', await withCookie('bob', groups))),
    ]);
    all[2]?.socket.emit('join_conversation', { conversationId: groupId });
    await isIn(all.length);
    const counted = async (): Promise<number> => {
      const text = await (await fetch(`${setUp.relays[0]?.internalUrl}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.startsWith('groupcast_relay_fan_out_encodings_total{'));
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    };
    const before = await counted();
    await say({ senderId: 'eve', content: 'hi' });
    const events = [`message:new:${groupId}`, 'new_message_notification', 'new_message', 'new-message'];
    for (const [index, page] of all.slice(0, 4).entries()) {
      await until('the message', () => names(page).includes(events[index] ?? ''));
      expect(names(page).filter((name) => name === events[index])).toHaveLength(1);
    }
    // Front end A has two events for it.
    expect((await counted()) - before).toBe(5);
  });

  test('an event for which no dialect in its group has a name is counted, and reported once', async () => {
    const relay = setUp.relays[0];
    const alice = await open('underscore-events', { ...(await withCookie('alice', [groupId])) });
    await isIn(1);
    for (const note of ['x', 'y'])
      expect(await say({ note }, 'poll-opened')).toMatchObject({
        recipients: { connections: 1 },
        warnings: ['UNSAID_EVENT'],
        hint: expect.stringMatching(/^nobody is told of "poll-opened" .* underscore-events/),
      });
    await relay?.broadcaster.notifyUsers({ userIds: ['alice'], event: 'order-shipped', data: {} });
    // Left out on purpose.
    expect(await say({ messageId: 'm1', content: 'x' }, 'message-updated')).toMatchObject({ warnings: [] });
    expect(await say({ content: 'then', senderId: 'bob' })).toMatchObject({ warnings: [] });
    await until('the message', () => alice.heard.length === 1);
    const told = (relay?.logged ?? []).filter(({ code }) => code === 'UNSAID_EVENT');
    expect(told.map(({ msg }) => /^the event "([a-z-]+)"/.exec(msg)?.[1])).toEqual(['poll-opened', 'order-shipped']);
    const text = await (await fetch(`${relay?.internalUrl}/metrics`)).text();
    expect(text).toMatch(/groupcast_relay_events_unsaid_total\{dialect="underscore-events"\} [3-9]/);
    expect(lineOf(relay, 'underscore-events')).toBe(true);
  });

  test('a message that is sent right behind a join waits for it, and so does a close', async () => {
    const alice = await open('underscore-events', { ...(await withCookie('alice')) });
    await isIn(1);
    const other = `${groupId}-new`;
    setUp.api.members.add(`alice ${other}`);
    setUp.api.mode = 'hang';
    alice.socket.emit('join_conversation', other);
    await until('the question', () =>
      setUp.api.queries.some(({ users }) => users.some((user) => user.groupIds.includes(other))),
    );
    alice.socket.emit('send_message', { conversationId: other, content: 'at once' });
    alice.socket.emit('leave_conversation', other);
    alice.socket.emit('send_message', { conversationId: `${groupId}-foreign`, content: 'x' });
    await until('the refusal of what waits for nothing', () => names(alice).includes('error'));
    expect(setUp.api.events).toEqual([]);
    setUp.api.release();
    await until('the message', () => setUp.api.events.length === 1);
    expect(setUp.api.events[0]).toMatchObject({ event: 'send-message', groupId: other });
    await setUp.relays[0]?.broadcaster.broadcastMessage({ groupId: other, message: { content: 'closed by now' } });
    await until('the notification', () => names(alice).includes('new_message_notification'));
    expect(names(alice)).not.toContain('message_received');
  });

  test('a client that joins by itself is brought into nothing else, by its token or by an addition', async () => {
    const before = await tokenFor('alice', [groupId]);
    const page = await open('aurora', { auth: { token: before } });
    await setUp.relays[0]?.broadcaster.addMembers({ groupId, userIds: ['alice'] });
    const later = await open('aurora', { auth: { token: before } });
    const raw = await openRawClient(`${setUp.relays[0]?.url}/ws?dialect=aurora`, {
      headers: { origin: ORIGIN, cookie: `token=${before}` },
    });
    onTestFinished(() => raw.close());
    await raw.frame('auth_success');
    // It brings its token again, which renews what the cookie has said.
    raw.send({ type: 'auth', token: before });
    await until('renewed', () => raw.frames.length === 2);
    expect(await say({ senderId: 'bob', content: 'x' })).toMatchObject({ recipients: { connections: 0 } });
    expect([...page.heard, ...later.heard]).toEqual([]);
    const left = setUp.relays.flatMap(({ logged }) => logged.filter(({ code }) => code === 'GROUP_LIMIT'));
    expect(left).toEqual([]);
  });

  test('a group that back end and relay both know of is entered once, and left with the connection', async () => {
    const cookie = await withCookie('alice');
    // The token is older than the addition, which the relay remembers.
    await setUp.relays[0]?.broadcaster.addMembers({ groupId, userIds: ['alice'] });
    const alice = await open('underscore-events', cookie);
    await isIn(1);
    alice.socket.close();
    await isIn(0);
  });

  test('a conversation that is opened before its connection is live in it is live once that is answered', async () => {
    const other = `${groupId}-away`;
    setUp.api.members.add(`alice ${other}`);
    setUp.api.holdsHistory = true;
    // The back end is asked for missed events of one group, and none of them is live before it answers.
    const auth = {
      token: await tokenFor('alice', [groupId, other]),
      positions: { [other]: { epoch: EPOCH, seq: 1 } },
    };
    const alice = await open('underscore-events', { auth });
    await alice.socket.timeout(8_000).emitWithAck('join_conversation', groupId);
    await say({ senderId: 'bob', content: 'x' });
    await until('the message', () => names(alice).includes('message_received'));
    setUp.api.release();
  });

  test('a connection that is left out of an event hears nothing in other words, on the stock path too', async () => {
    const relay = await startRelayUnderTest({ FANOUT: 'stock', RELAY_DIALECT: 'conversation-colon' });
    onTestFinished(async () => relay.close());
    const heard: string[] = [];
    const socket = relay.client({ token: await tokenFor('alice', ['g']) });
    socket.onAny((event: string) => heard.push(event));
    const members = async () => (await relay.broadcaster.getPresence({ groupId: 'g' })).numConnections;
    await until('her to be in the group', async () => (await members()) === 1);
    const broadcast = async (at: number, except: object) =>
      relay.broadcaster.broadcastMessage({ groupId: 'g', id: `m${at}`, epoch: EPOCH, seq: at, message: {}, ...except });
    await broadcast(1, { exceptSocketId: socket.id });
    await broadcast(2, {});
    await until('the second', () => heard.includes('message:new'));
    expect(heard).toEqual(['message:new:g', 'message:new']);
  });

  test('a user in more groups than fit is told which are left out, and so is one whose groups nobody knows', async () => {
    const { api } = setUp;
    const relay = await startRelayUnderTest({
      API_URL: api.url,
      RELAY_DIALECTS: 'group-array',
      MAX_GROUPS_PER_CONNECTION: '2',
    });
    onTestFinished(async () => relay.close());
    api.members.clear();
    for (const id of ['11', '12', '13']) api.members.add(`alice ${id}`);
    const connect = async (): Promise<Heard[]> => {
      const heard: Heard[] = [];
      const socket = relay.client({ token: await tokenFor('alice', []) }, { query: { dialect: 'group-array' } });
      socket.onAny((event: string, payload: unknown) => heard.push([event, payload]));
      await until('the groups', () => heard.some(([event]) => event === 'joined-groups'));
      return heard;
    };
    const heard = await connect();
    expect(heard).toContainEqual(['left-groups', { groups: ['13'], reason: 'group-limit' }]);
    const [, joined] = heard.find(([event]) => event === 'joined-groups') ?? [];
    expect((joined as number[]).toSorted()).toEqual([11, 12]);
    api.lacks.add('/internal/groups');
    onTestFinished(() => void api.lacks.delete('/internal/groups'));
    await connect();
    expect(relay.logged.filter(({ code }) => code === 'NO_GROUPS').map(({ msg }) => msg)).toEqual([
      expect.stringContaining('/internal/groups'),
    ]);
  });

  test('the name of the host that a client asked for says its dialect, also behind a proxy', async () => {
    const auth = { token: await tokenFor('alice', []) };
    const behind = await open(undefined, { auth, headers: { 'x-forwarded-host': 'localhost:8443, proxy' } });
    const native = await open(undefined, { auth });
    for (const { socket } of [behind, native]) socket.emit('join_conversation', { conversationId: 'elsewhere' });
    await until('an answer to each', () => [behind, native].every(({ heard }) => heard.length === 1));
    expect(behind.heard).toEqual([['error', expect.objectContaining({ code: 'NOT_A_MEMBER' })]]);
    expect(names(native)).toEqual(['joined-groups']);
  });

  test('a dialect that is not allowed, and an event that it does not have, are refused with the nearest name', async () => {
    const socket = io(`${setUp.relays[0]?.url}?dialect=underscore-event`, {
      forceNew: true,
      reconnection: false,
      auth: { token: await tokenFor('alice', []) },
    });
    const refused = await received<Error & { data: { code: string } }>(socket, 'connect_error');
    socket.close();
    expect(refused.data.code).toBe('INVALID_PAYLOAD');
    expect(refused.message).toContain('"underscore-events"');
    const alice = await open('underscore-message', { auth: { token: await tokenFor('alice', []) } });
    alice.socket.emit('join-conversation', groupId);
    await until('the refusal', () => alice.heard.length === 1);
    expect(alice.heard).toEqual([
      ['error', expect.objectContaining({ code: 'UNKNOWN_EVENT', event: 'join-conversation' })],
    ]);
    const native = await open(undefined, { auth: { token: await tokenFor('alice', []) } });
    const answer = (await native.socket.emitWithAck('join_conversation', groupId)) as { error: { message: string } };
    expect(answer.error.message).toContain('this connection speaks "native", and "underscore-events"');
    expect(JSON.stringify(alice.heard)).toContain('perhaps \\"join_conversation\\" is meant');
  });

  test('of two dialects in a URL the door and the session speak the same, the last', async () => {
    const both = await openRawClient(`${setUp.relays[0]?.url}/ws?dialect=native&dialect=aurora`);
    onTestFinished(() => both.close());
    both.send({ type: 'auth', token: await tokenFor('alice', []) });
    both.send({ type: 'join_conversation', conversationId: groupId });
    await both.frame('joined_conversation');
    expect(both.frames.map(({ type }) => type)).toEqual(['auth_success', 'joined_conversation']);
  });

  test('auth and ping are told apart from unknown events over Socket.IO, and not advised', async () => {
    const auth = { token: await tokenFor('alice', []) };
    const refusalOf = async ({ socket }: Page, event: string): Promise<string> => {
      const answer = (await socket.emitWithAck(event, {})) as { error: { code: string; message: string } };
      expect(answer.error.code).toBe('UNKNOWN_EVENT');
      return answer.error.message;
    };
    const native = await open('native', { auth });
    for (const event of ['ping', 'auth']) {
      expect(await refusalOf(native, event)).toBe(
        `unable to accept "${event}"; it is for the raw WebSocket, over Socket.IO there is no such event`,
      );
    }
    for (const event of ['pings', 'auths', 'Ping']) {
      expect(await refusalOf(native, event)).not.toMatch(/perhaps "(?:ping|auth)"/);
    }
    expect(await refusalOf(native, 'join_group')).toContain('perhaps "join-group" is meant');
    const frames = await openRawClient(`${setUp.relays[0]?.url}/ws?dialect=native`);
    onTestFinished(() => frames.close());
    frames.send({ type: 'auth', ...auth });
    frames.send({ type: 'pings', id: 1 });
    expect(JSON.stringify(await frames.frame('ack'))).toContain('perhaps \\"ping\\" is meant');
  });
});
