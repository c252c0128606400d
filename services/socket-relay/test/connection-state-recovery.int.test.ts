import { type Carry, received, seededRandom, startRedis, startTcpProxy, tokenFor, until } from '@groupcast/testing';
import { Redis } from 'ioredis';
import { io, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';
import { FRESH, faultsOf, type Page, watchPage } from './recovery-page.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

/** More seeds find rarer cuts: `RECOVERY_WIRES=200`. */
const SEEDS = Array.from({ length: Number(process.env['RECOVERY_WIRES'] ?? 1) }, (_, n) => n + 1);
const MOST_MESSAGES = 400;
const COMEBACKS = 6;

/** A wire that breaks: each connection passes some of the relay's bytes, and then ends, or passes nothing more and does not end. */
async function openBadWire(port: number, seed: number) {
  const below = seededRandom(seed);
  let isBad = false;
  const carry: Carry = ({ client, upstream }) => {
    let left = 500 + below(1_500);
    const freezes = below(6) === 0;
    return (bytes) => {
      if (!isBad) {
        client.write(bytes);
        return;
      }
      const passed = bytes.subarray(0, Math.max(0, left));
      left -= bytes.length;
      client.write(passed);
      if (left > 0) return;
      if (freezes) for (const socket of [client, upstream]) socket.pause();
      else client.destroy();
    };
  };
  const { port: own, cut, close } = await startTcpProxy(port, undefined, carry);
  return {
    port: own,
    goBad: () => void (isBad = true),
    heal() {
      isBad = false;
      cut();
    },
    close,
  };
}

describe.each([[['websocket']], [['polling']], [['polling', 'websocket']]])('a stock client over %j', (transports) => {
  const relays: RelayUnderTest[] = [];
  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
    for (const relay of relays.splice(0)) await relay.close();
  });

  async function start(env: Record<string, string> = {}): Promise<RelayUnderTest> {
    const relay = await startRelayUnderTest({ RELAY_DIALECT: 'group-array', ...env });
    relays.push(relay);
    return relay;
  }

  async function open(relay: { url: string }, groups: readonly string[], userId = 'alice'): Promise<Page> {
    const token = await tokenFor(userId, groups);
    const socket = io(relay.url, {
      forceNew: true,
      transports,
      auth: { token },
      reconnectionDelay: 20,
      reconnectionDelayMax: 50,
      timeout: 1_500,
    });
    cleanUps.push(() => void socket.close());
    const page = watchPage(socket);
    await received(socket, 'joined-groups');
    return page;
  }

  const say = async (relay: RelayUnderTest, groupId: string, text: string): Promise<unknown> =>
    relay.broadcaster.broadcastMessage({ groupId, message: { text } });
  const cut = (page: Page): void => void page.socket.io.engine.close();
  const back = async (page: Page, count: number): Promise<unknown> =>
    until('the page to be back', () => page.recovered.length === count && page.socket.connected);

  test('gets what it has missed in all of its groups, once and in order, and is told that it has recovered (G91)', async () => {
    const relay = await start();
    const page = await open(relay, ['g', 'h', 'empty', 'quiet']);
    await say(relay, 'quiet', '1');
    for (const groupId of ['g', 'h']) await say(relay, groupId, '1');
    await until('the first', () => page.texts.filter((text) => text !== FRESH).length === 3);
    page.socket.io.reconnection(false);
    cut(page);
    for (const text of ['2', '3']) for (const groupId of ['g', 'h']) await say(relay, groupId, text);
    await say(relay, 'empty', '1');
    page.socket.io.reconnection(true);
    page.socket.connect();
    await back(page, 2);
    await say(relay, 'g', '4');
    await until('the last', () => page.texts.includes('g: 4'));
    expect(page.recovered).toEqual([false, true]);
    const of = (groupId: string): string[] => page.texts.filter((text) => text.startsWith(`${groupId}:`));
    expect([of('g'), of('h'), of('empty'), of('quiet')]).toEqual([
      ['g: 1', 'g: 2', 'g: 3', 'g: 4'],
      ['h: 1', 'h: 2', 'h: 3'],
      ['empty: 1'],
      ['quiet: 1'],
    ]);
  });

  test.each(SEEDS)(
    'a page whose wire breaks again and again, anywhere, misses nothing and gets nothing twice (wire %d)',
    async (seed) => {
      const relay = await start({ PING_INTERVAL_MS: '400', PING_TIMEOUT_MS: '400' });
      const wire = await openBadWire(relay.port, seed);
      cleanUps.push(async () => wire.close());
      const groups = ['g', 'h', 'i'];
      const page = await open({ url: `http://127.0.0.1:${wire.port}` }, groups);
      wire.goBad();
      let count = 0;
      while (count < MOST_MESSAGES && page.recovered.length < COMEBACKS) {
        count += 1;
        for (const groupId of groups) await say(relay, groupId, String(count));
        // It comes back now and then while messages are on their way.
        if (count % 5 === 0) await until('a connection', () => page.socket.connected);
      }
      wire.heal();
      const isAtEnd = (): boolean => groups.every((groupId) => page.texts.includes(`${groupId}: ${count}`));
      // A page that has a new session by then hears only of later ones.
      await until(
        'the last ones',
        async () => {
          if (isAtEnd()) return true;
          count += 1;
          for (const groupId of groups) await say(relay, groupId, String(count));
          return isAtEnd();
        },
        20_000,
      );
      expect(page.recovered).toContain(true);
      for (const groupId of groups) expect(faultsOf(page.texts, groupId)).toEqual([]);
    },
    60_000,
  );
});

describe('a stock client that comes back', () => {
  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });

  async function start(env: Record<string, string> = {}): Promise<RelayUnderTest> {
    const relay = await startRelayUnderTest({ RELAY_DIALECT: 'group-array', ...env });
    cleanUps.push(async () => relay.close());
    return relay;
  }

  interface Visit {
    socket: Socket;
    heard: [event: string, payload: unknown][];
  }
  /** One connection, with what a client would send of an earlier one. */
  async function visit(
    relay: { url: string },
    userId: string,
    {
      groups = ['g'],
      ...auth
    }: { groups?: readonly string[]; pid?: string | undefined; offset?: string | undefined } = {},
  ): Promise<Visit> {
    const token = await tokenFor(userId, groups);
    const socket = io(relay.url, {
      forceNew: true,
      transports: ['websocket'],
      reconnection: false,
      auth: { token, ...auth },
    });
    cleanUps.push(() => void socket.close());
    const heard: Visit['heard'] = [];
    socket.onAny((event: string, payload: unknown) => heard.push([event, payload]));
    await received(socket, 'connect');
    return { socket, heard };
  }
  const stateOf = ({ socket }: Visit): { pid: string | undefined; offset: string | undefined } => {
    const { _pid: pid, _lastOffset: offset } = socket as unknown as { _pid?: string; _lastOffset?: string };
    return { pid, offset };
  };
  const textsOf = ({ heard }: Visit): unknown[] =>
    heard.flatMap(([event, payload]) => (event === 'new-message' ? [(payload as { text: string }).text] : []));
  const greeted = async ({ heard }: Visit): Promise<unknown> =>
    until('its groups', () => heard.some(([event]) => event === 'joined-groups'));
  /** Cuts the connection, and waits until the relay knows. */
  async function leave(relay: RelayUnderTest, { socket }: Visit): Promise<void> {
    const { id } = socket;
    socket.io.engine.close();
    await until('the relay to know', async () => {
      const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
      return id !== undefined && /^groupcast_relay_connections\{type="user"\} 0$/m.test(text);
    });
  }
  /** How many clients came back, by what they were given. */
  async function comebacksOf(relay: RelayUnderTest): Promise<Record<string, number>> {
    const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    const counted = text.matchAll(/^groupcast_relay_comebacks_total\{outcome="([^"]+)"\} (\d+)$/gm);
    return Object.fromEntries(
      [...counted].flatMap(([, outcome, count]) => (count === '0' ? [] : [[outcome, Number(count)]])),
    );
  }
  const say = async (relay: RelayUnderTest, text: string, fields: object = {}): Promise<unknown> =>
    relay.broadcaster.broadcastMessage({ groupId: 'g', message: { text, ...fields } });
  /** Alice has read one message and gone, and misses another. */
  async function goneAfterOne(relay: RelayUnderTest) {
    const first = await visit(relay, 'alice');
    await greeted(first);
    await say(relay, '1');
    await until('the message', () => textsOf(first).length === 1);
    const state = stateOf(first);
    await leave(relay, first);
    await say(relay, '2');
    return state;
  }
  async function comesTo(page: Visit, relay: RelayUnderTest, ...texts: string[]): Promise<void> {
    await say(relay, 'last');
    await until('the last message', () => textsOf(page).includes('last'));
    expect(textsOf(page)).toEqual([...texts, 'last']);
  }

  test('gets what it has missed with its session and its offset, again and again as long as it reads nothing', async () => {
    const relay = await start();
    const state = await goneAfterOne(relay);
    for (let n = 0; n < 3; n += 1) {
      const again = await visit(relay, 'alice', state);
      await until('what it has missed', () => textsOf(again).length === 1);
      expect([stateOf(again).pid, textsOf(again)]).toEqual([state.pid, ['2']]);
      await leave(relay, again);
    }
    const last = await visit(relay, 'alice', state);
    await comesTo(last, relay, '2');
    expect(await comebacksOf(relay)).toEqual({ recovered: 4 });
  });

  const NOT_FOUND = { 'not-found': 1 };
  test.each<[string, (state: { pid: string | undefined; offset: string | undefined }) => object, string, object]>([
    ['the session of somebody else', (state) => state, 'bob', NOT_FOUND],
    ['a session that nobody knows', ({ offset }) => ({ pid: 'nobody.knows', offset }), 'alice', NOT_FOUND],
    ['a session with a text that is no id', ({ offset }) => ({ pid: 'x'.repeat(100_000), offset }), 'alice', {}],
    ['an offset that is a text of its own', ({ pid }) => ({ pid, offset: 'a text of its own' }), 'alice', NOT_FOUND],
    ['an offset that is no text', ({ pid }) => ({ pid, offset: 7 }), 'alice', NOT_FOUND],
    ['positions beside a session, which say more', (state) => ({ ...state, positions: {} }), 'alice', {}],
  ])('with %s has a new session, and gets nothing of an earlier one', async (_, authOf, userId, counted) => {
    const relay = await start();
    const state = await goneAfterOne(relay);
    const again = await visit(relay, userId, authOf(state));
    await greeted(again);
    expect(stateOf(again).pid).not.toBe(state.pid);
    await comesTo(again, relay);
    expect(await comebacksOf(relay)).toEqual(counted);
  });

  test('after reading nothing gets everything since it came', async () => {
    const relay = await start();
    const first = await visit(relay, 'alice');
    await greeted(first);
    const { pid } = stateOf(first);
    await leave(relay, first);
    await say(relay, '1');
    await comesTo(await visit(relay, 'alice', { pid }), relay, '1');
  });

  test('after a removal of its user has a new session', async () => {
    const relay = await start();
    const state = await goneAfterOne(relay);
    await relay.broadcaster.removeMembers({ groupId: 'g', userIds: ['alice'] });
    const again = await visit(relay, 'alice', { ...state, groups: ['h'] });
    expect(stateOf(again).pid).not.toBe(state.pid);
    await greeted(again);
    expect(textsOf(again)).toEqual([]);
  });

  test('for events that are not all in the log has a new session, and none of them', async () => {
    const relay = await start({ HISTORY_SIZE: '2' });
    const state = await goneAfterOne(relay);
    for (const text of ['3', '4']) await say(relay, text);
    const again = await visit(relay, 'alice', state);
    expect(stateOf(again).pid).not.toBe(state.pid);
    await comesTo(again, relay);
    expect(await comebacksOf(relay)).toEqual({ 'not-exact': 1 });
  });

  test('to a relay that has not noticed that it was gone takes the place of its earlier connection', async () => {
    const relay = await start();
    const wire = await startTcpProxy(relay.port);
    cleanUps.push(async () => wire.close());
    const first = await visit({ url: `http://127.0.0.1:${wire.port}` }, 'alice');
    await greeted(first);
    await say(relay, '1');
    await until('the message', () => textsOf(first).length === 1);
    wire.freeze();
    await say(relay, '2');
    const again = await visit(relay, 'alice', stateOf(first));
    await comesTo(again, relay, '2');
    expect(again.socket.recovered).toBe(false);
    expect(stateOf(again).pid).toBe(stateOf(first).pid);
    await until('one connection', async () => {
      const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
      return /^groupcast_relay_connections\{type="user"\} 1$/m.test(text);
    });
  });

  test('has open what it had open, and is told in the words for that', async () => {
    const relay = await start({ RELAY_DIALECT: 'underscore-events' });
    const first = await visit(relay, 'alice');
    first.socket.emit('join_conversation', 'g');
    await until('the group to be open', async () => {
      await say(relay, 'any');
      return first.heard.some(([event]) => event === 'message_received');
    });
    const state = stateOf(first);
    await leave(relay, first);
    await say(relay, 'missed');
    const again = await visit(relay, 'alice', state);
    await say(relay, 'next');
    await until('both messages', () => again.heard.filter(([event]) => event === 'message_received').length >= 2);
    expect(again.heard.map(([event]) => event)).not.toContain('new_message_notification');
  });

  test('gets no message of its own again that its earlier connection had not got either', async () => {
    const relay = await start({ RELAY_DIALECT: 'underscore-message' });
    const first = await visit(relay, 'alice');
    expect(await first.socket.timeout(5_000).emitWithAck('join_conversation', 'g')).toBeDefined();
    await say(relay, 'read', { senderId: 'bob' });
    await until('the message', () => first.heard.length > 0);
    const state = stateOf(first);
    await say(relay, 'own', { senderId: 'alice', clientMessageId: `socket-${first.socket.id}-1` });
    await leave(relay, first);
    await say(relay, 'missed', { senderId: 'bob' });
    const again = await visit(relay, 'alice', state);
    await say(relay, 'next', { senderId: 'bob' });
    await until('the last', () => JSON.stringify(again.heard).includes('next'));
    const texts = again.heard.map(([, payload]) => (payload as { message: { text: string } }).message.text);
    expect(texts).toEqual(['missed', 'next']);
  });

  test('from a relay that is drained to another one goes on there, and back again', async () => {
    const redis = await startRedis();
    cleanUps.push(async () => redis.stop());
    const env = { REDIS_URL: redis.url };
    const [one, other] = [await start(env), await start(env)];
    const first = await visit(one, 'alice', { groups: ['g', 'h'] });
    await greeted(first);
    await say(one, '1');
    await until('the message', () => textsOf(first).length === 1);
    let state = stateOf(first);
    await leave(one, first);
    await say(other, '2');
    const second = await visit(other, 'alice', { ...state, groups: ['g', 'h'] });
    await until('what it has missed', () => textsOf(second).length === 1);
    expect(stateOf(second).pid).toBe(state.pid);
    await say(one, '3');
    await until('the next', () => textsOf(second).length === 2);
    state = stateOf(second);
    await leave(other, second);
    await say(one, '4');
    const third = await visit(one, 'alice', { ...state, groups: ['g', 'h'] });
    expect(stateOf(third).pid).toBe(state.pid);
    await comesTo(third, other, '4');
  });

  test('to a relay that was started again has a new session', async () => {
    const relay = await start();
    const state = await goneAfterOne(relay);
    const other = await start();
    await say(other, 'before');
    const again = await visit(other, 'alice', state);
    expect(stateOf(again).pid).not.toBe(state.pid);
    await comesTo(again, other);
  });

  test('in as many groups as it may be, others than its token names, harms nobody', async () => {
    const relay = await start({ MAX_GROUPS_PER_CONNECTION: '2' });
    const groups = ['a', 'b', 'g'];
    const first = await visit(relay, 'alice', { groups });
    await greeted(first);
    for (const [event, groupId] of [
      ['leave-group', 'a'],
      ['join-group', 'g'],
    ] as const)
      expect(await first.socket.timeout(5_000).emitWithAck(event, { groupId })).toMatchObject({ ok: true });
    const state = stateOf(first);
    await leave(relay, first);
    const again = await visit(relay, 'alice', { ...state, groups });
    await greeted(again);
    expect((await visit(relay, 'bob')).socket.connected).toBe(true);
  });

  test('is not in a group again that it had left, although its token names it', async () => {
    const relay = await start();
    const groups = ['g', 'h'];
    const first = await visit(relay, 'alice', { groups });
    await greeted(first);
    await first.socket.timeout(5_000).emitWithAck('leave-group', { groupId: 'h' });
    const state = stateOf(first);
    await leave(relay, first);
    const again = await visit(relay, 'alice', { ...state, groups });
    expect(stateOf(again).pid).toBe(state.pid);
    await relay.broadcaster.broadcastMessage({ groupId: 'h', message: { text: 'unwanted' } });
    await comesTo(again, relay);
  });

  test('gets no message that was not for its connection', async () => {
    const relay = await start();
    const first = await visit(relay, 'alice');
    await greeted(first);
    const except = { exceptSocketId: first.socket.id ?? '' };
    await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { text: 'own' }, ...except });
    const state = stateOf(first);
    await leave(relay, first);
    const again = await visit(relay, 'alice', state);
    expect(stateOf(again).pid).toBe(state.pid);
    await comesTo(again, relay);
  });

  test('after it has ended its connection by itself has a new session', async () => {
    const relay = await start();
    const state = await goneAfterOne(relay);
    const second = await visit(relay, 'alice', state);
    await until('what it has missed', () => textsOf(second).length === 1);
    second.socket.disconnect();
    const third = await visit(relay, 'alice', stateOf(second));
    expect(stateOf(third).pid).not.toBe(state.pid);
    await comesTo(third, relay);
  });

  test('with texts that are no ids asks no other relay', async () => {
    const redis = await startRedis();
    cleanUps.push(async () => redis.stop());
    const env = { REDIS_URL: redis.url };
    const [one] = [await start(env), await start(env)];
    const connection = new Redis(redis.url);
    cleanUps.push(() => connection.disconnect());
    const published: string[] = [];
    const monitor = await connection.monitor();
    cleanUps.push(() => monitor.disconnect());
    monitor.on('monitor', (_time: string, args: string[]) => published.push(args.join(' ')));
    await visit(one, 'alice', { pid: 'x'.repeat(50_000), offset: 'y' });
    await visit(one, 'alice', { pid: 'short', offset: 'y'.repeat(50_000) });
    await visit(one, 'alice', { pid: 'asked-of-others', offset: 'y' });
    await until('the question', () => published.some((line) => line.includes('asked-of-others')));
    expect(published.filter((line) => line.includes('xxxx') || line.includes('yyyy'))).toEqual([]);
  });
});
