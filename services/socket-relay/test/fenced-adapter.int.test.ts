import { type RedisServer, startRedis, until } from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hearEachOther, linked, type Node, onRedis, type SetUp, startNode, typing } from './transient-nodes.ts';

/** How soon after an outage transient messages pass again, in milliseconds. */
const BACK_WITHIN_MS = 5_000;
const CHANNEL = 'gc:transient#/#group-g#';

/** A message of the adapter's protocol. */
const message = (type: number, data?: object): string => JSON.stringify({ uid: 'x', nsp: '/', type, data });
const rooms = { rooms: ['group-g'], except: [], flags: {} };
const broadcast = (data: unknown, opts: object = rooms): string => message(3, { packet: { type: 2, data }, opts });

const GARBAGE: readonly (readonly [string, string])[] = [
  ['no JSON', 'garbage'],
  ['half of a JSON', '{"uid":'],
  ['null', 'null'],
  ['a list', '[1,2]'],
  ['nothing', ''],
  ['an empty object', '{}'],
  ['msgpack', '\x84\xa3uid\xa1x\xa4type\x03'],
  ['a broadcast without data', message(3)],
  ['a broadcast without a packet', message(3, { opts: rooms })],
  ['a broadcast of no event', broadcast({})],
  ['a broadcast to all rooms', broadcast(['typing', typing('g')], { rooms: [], except: [] })],
  ['a broadcast to another room', broadcast(['typing', typing('h')], { rooms: ['group-h'], except: [] })],
  [
    'a broadcast that asks for acknowledgements',
    message(3, { packet: { data: ['typing'] }, opts: rooms, requestId: '1' }),
  ],
  ['joins', message(4, { opts: { rooms: [], except: [] }, rooms: ['r1', 'r2'] })],
  ['leaves', message(5, { opts: { rooms: [], except: [] }, rooms: ['group-g'] })],
  ['disconnects', message(6, { opts: { rooms: [], except: [] }, close: true })],
  ['a question for all sockets', message(7, { opts: { rooms: [], except: [] }, requestId: '1' })],
  ['an answer that was not asked for', message(8, { requestId: '1', sockets: [] })],
  ['an emit between servers', message(9, { packet: ['typing'], requestId: '1' })],
  ['a type that nobody knows', message(99, {})],
  ['an event with a wrong payload', broadcast(['typing', { groupId: 'g', userId: {}, isTyping: 1 }])],
  ['an event of another group', broadcast(['typing', typing('h')])],
];

describe('the adapter of Redis inside its fence', () => {
  let redis: RedisServer;
  let setUp: SetUp;
  let pair: [Node, Node];
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);

  beforeAll(() => {
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
  });
  beforeEach(async () => {
    redis = await startRedis();
    setUp = onRedis(redis.url, redis.stop);
    pair = await linked(setUp, 'g');
  });
  afterEach(async () => {
    await redis.stop();
    expect(unhandled).toEqual([]);
  });
  afterAll(() => {
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
  });

  async function dropped({ metrics }: Node): Promise<number> {
    const { values } = await metrics.transientEvents.get();
    return values.find(({ labels }) => labels.way === 'dropped')?.value ?? 0;
  }

  test('takes no garbage from its channels: each is counted, and shown to nobody', async () => {
    const [one, other] = pair;
    for (const [what, text] of GARBAGE) {
      const before = await other.malformed();
      redis.ask('spublish', CHANNEL, text);
      await until(`“${what}” to be counted`, async () => (await other.malformed()) === before + 1);
    }
    const before = await other.malformed();
    redis.ask(
      'eval',
      `return redis.call('spublish', ARGV[1], '{"uid":"' .. string.rep('x', 600000) .. '"}')`,
      '0',
      CHANNEL,
    );
    await until('600 kB to be counted', async () => (await other.malformed()) === before + 1);
    expect(other.shown).toEqual([]);
    // The channels of the rest of its protocol, to which the adapter itself would listen.
    expect(redis.ask('spublish', 'gc:transient#/#', message(6, { opts: { rooms: [], except: [] }, close: true }))).toBe(
      '0',
    );
    const node = redis.ask('pubsub', 'shardchannels', 'gc:transient*').split('\n');
    expect(node.every((channel) => /#(?:node\d+|group-g)#$/.test(channel))).toBe(true);
    expect(await one.transient.ask('typing', typing('g'))).toBe(2);
  });

  test('holds up no local delivery while Redis does not answer, and keeps a bounded number for it (G66)', async () => {
    const [one, other] = pair;
    const before = await dropped(one);
    redis.pause();
    // A user who has read a thousand groups costs nobody else a message.
    for (let n = 0; n < 5_000; n += 1) one.transient.tell('typing', typing('g', `u${n}`));
    expect(await dropped(one)).toBe(before);
    for (let n = 0; n < 15_000; n += 1) one.transient.tell('typing', typing('g', `u${n}`));
    expect(one.shown).toHaveLength(20_000);
    // Answers of a moment ago may be among those that wait.
    expect(await dropped(one)).toBeGreaterThanOrEqual(10_000);
    // A question waits a second for the others, and not for Redis.
    expect(await one.transient.ask('typing', typing('g'))).toBe(1);
    redis.resume();
    await hearEachOther([one, other], 'g', BACK_WITHIN_MS);
  });

  test('keeps a bounded number of bytes for a Redis that does not answer', async () => {
    const [one] = pair;
    const signal = { groupId: 'g', fromUserId: 'u', toUserId: 'v', kind: 'offer', data: 'x'.repeat(60_000) };
    redis.pause();
    for (let n = 0; n < 1_000; n += 1) one.transient.tell('signal', signal);
    expect(await dropped(one)).toBeGreaterThanOrEqual(700);
    redis.resume();
    await hearEachOther(pair, 'g', BACK_WITHIN_MS);
  });

  test('passes again once Redis is back from the dead', async () => {
    const [one, other] = pair;
    await redis.kill();
    for (let n = 0; n < 100; n += 1) one.transient.tell('typing', typing('g', `u${n}`));
    expect(one.shown).toHaveLength(100);
    // Groups come and go meanwhile.
    for (const node of pair) {
      node.leave('g');
      node.join('h');
      node.join('g');
    }
    await redis.restart();
    for (const groupId of ['g', 'h']) await hearEachOther([one, other], groupId, BACK_WITHIN_MS);
    // None of the hundred was kept for later.
    expect(await dropped(one)).toBeGreaterThanOrEqual(100);
    expect(other.shown).toEqual([]);
  });

  test('passes again after its connections were killed', async () => {
    const ids = redis
      .ask('client', 'list')
      .split('\n')
      .filter((line) => line.includes('name=groupcast-transient'))
      .map((line) => /^id=(\d+)/.exec(line)?.[1] ?? '');
    expect(ids).toHaveLength(4);
    for (const id of ids) redis.ask('client', 'kill', 'id', id);
    await hearEachOther(pair, 'g', BACK_WITHIN_MS);
  });

  test('stops while Redis is away', async () => {
    const third = startNode(setUp);
    third.join('g');
    redis.pause();
    third.transient.tell('typing', typing('g'));
    third.transient.stop();
    await redis.kill();
    third.transient.stop();
    expect(third.shown).toHaveLength(1);
  });
});
