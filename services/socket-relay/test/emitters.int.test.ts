import { type RedisServer, startRedis, until } from '@groupcast/testing';
import { Emitter } from '@socket.io/redis-emitter';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

describe('a program that emits through Redis', () => {
  let redis: RedisServer;
  let client: Redis;
  const relays: RelayUnderTest[] = [];

  beforeEach(async () => {
    redis = await startRedis();
    client = new Redis(redis.url);
  });
  afterEach(async () => {
    await Promise.all(relays.splice(0).map(async (relay) => relay.close()));
    client.disconnect();
    await redis.stop();
  });

  async function start(env: Readonly<Record<string, string>>): Promise<RelayUnderTest> {
    const relay = await startRelayUnderTest({ REDIS_URL: redis.url, NODE_LEASE_SECONDS: '3', ...env });
    relays.push(relay);
    return relay;
  }
  async function counted(relay: RelayUnderTest, way: string): Promise<number> {
    const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    return Number(new RegExp(`transient_events_total{event="emitter",way="${way}"} (\\d+)`).exec(text)?.[1] ?? 0);
  }
  const warned = (relay: RelayUnderTest, text: string): number =>
    relay.logged.filter(({ level, msg }) => level === 40 && msg.includes(text)).length;

  test('reaches groups and users on two relays, without a position, and nobody else', async () => {
    const [one, other] = [await start({ RELAY_EMITTER: '1' }), await start({ RELAY_EMITTER: '1' })];
    const members = [await one.member('alice', ['7']), await other.member('bob', ['7']), await other.member('carol')];
    const at = members.map((socket) => {
      const events: [string, unknown][] = [];
      socket.onAny((name: string, payload: unknown) => void events.push([name, payload]));
      return events;
    });
    const emitter = new Emitter(client);
    await until('the relays to listen', async () => {
      emitter.to('group-7').emit('hello', {});
      return (await counted(one, 'received')) > 0 && (await counted(other, 'received')) > 0;
    });
    // Nothing of this is shown to anybody.
    emitter.emit('new-message', { content: 'to everybody' });
    emitter.to('presence-7').emit('new-message', { content: 'to another room' });
    emitter.to('group-7').emit('left-groups', { groups: ['7'] });
    emitter.to('group-7').emit('new-message', 'words');
    emitter.to('group-7').emit('new-message', { content: 'x' }, 'more');
    emitter.to('group-7').emit('new-message', { content: 'x'.repeat(70_000) });
    emitter.to('group-7').emit('new-message', { content: Buffer.from('x') });
    emitter.in('group-7').disconnectSockets(true);
    emitter.in('group-7').socketsJoin('group-8');
    for (const garbage of [
      '',
      '{',
      'garbage',
      '[1',
      '[]',
      '["emitter"',
      '\u0093\u00a7emitter\u00c1',
      '["emitter"]',
      '["emitter",{"data":["x",{}]},{"rooms":7}]',
    ]) {
      await client.publish('socket.io#/#group-7#', garbage);
    }
    // A server of Socket.IO on the same Redis.
    const ofServer = ['server', { type: 2, nsp: '/', data: ['new-message', { content: 'x' }] }, { rooms: ['group-7'] }];
    await client.publish('socket.io#/#group-7#', JSON.stringify(ofServer));
    emitter.to('group-7').emit('new-message', { content: 'one', epoch: '1-a', seq: 9 });
    emitter.to('user-bob').emit('badge', { count: 2 });
    // Not even where it names a group and a position of it.
    emitter.to('user-bob').emit('new-message', { groupId: '7', epoch: '1-a', seq: 9, content: 'forged' });
    emitter.to('group-7').except('user-bob').emit('new-message', { id: 'mine', content: 'two' });
    // Another parser than the usual one.
    new Emitter(client, { parser: { encode: (message: unknown) => JSON.stringify(message) } })
      .to(['group-7', 'user-carol'])
      .emit('last', { n: 1 });
    await until('the last', () => at.every((events) => events.at(-1)?.[0] === 'last'));
    const shown = at.map((events) => events.filter(([name]) => name !== 'hello'));
    const flat = { groupId: '7', epoch: null, seq: null };
    const first = ['new-message', { ...flat, id: expect.any(String), content: 'one' }];
    const last = ['last', { ...flat, id: expect.any(String), n: 1 }];
    expect(shown).toEqual([
      [first, ['new-message', { ...flat, id: 'mine', content: 'two' }], last],
      [
        first,
        ['badge', { count: 2 }],
        ['new-message', { groupId: '7', epoch: null, seq: null, content: 'forged' }],
        last,
      ],
      [['last', { n: 1 }]],
    ]);
    expect(await counted(one, 'refused')).toBeGreaterThanOrEqual(4);
    expect(warned(one, 'has no position')).toBe(1);
    expect(members.every(({ connected }) => connected)).toBe(true);
  });

  test('reaches nobody while it is off, which the log says once', async () => {
    const relay = await start({});
    const alice = await relay.member('alice', ['7']);
    const events: string[] = [];
    alice.onAny((name: string) => void events.push(name));
    const emitter = new Emitter(client);
    const off = (): number => warned(relay, 'RELAY_EMITTER=1');
    await until('the log to say it', () => {
      emitter.to('group-7').emit('new-message', { content: 'x' });
      return off() > 0;
    });
    await until('the relay to listen no more', () => redis.ask('pubsub', 'numpat') === '0');
    emitter.to('group-7').emit('new-message', { content: 'x' });
    await relay.broadcaster.broadcastMessage({ groupId: '7', event: 'after', message: {} });
    await until('the event after it', () => events.includes('after'));
    expect(events.filter((name) => name === 'new-message')).toEqual([]);
    expect(off()).toBe(1);
  });

  test('is heard again after Redis was away', async () => {
    const relay = await start({ RELAY_EMITTER: '1' });
    const alice = await relay.member('alice', ['7']);
    await redis.kill();
    await redis.restart();
    let came = 0;
    alice.on('new-message', () => {
      came += 1;
    });
    await until('an event', () => {
      new Emitter(client).to('group-7').emit('new-message', { content: 'x' });
      return came > 0;
    });
  });
});
