import {
  type RedisCluster,
  type RedisServer,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  until,
} from '@groupcast/testing';
import { Cluster } from 'ioredis';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AppendOutcome, GroupLog } from '../src/group-log/group-log.ts';
import { createRedisGroupLog } from '../src/group-log/redis-group-log.ts';
import { connectRedis, type RedisConnections } from '../src/redis/connections.ts';
import { createRedisNames } from '../src/redis/names.ts';
import { parseRedisUrl } from '../src/redis/target.ts';
import { decodeGroupMessage } from '../src/wire-format.ts';
import { describeGroupLog, type GroupLogLimits } from './group-log.suite.ts';

const log = pino({ level: 'silent' });
const names = createRedisNames();
const { groupKey } = names;

async function connect(url: string): Promise<RedisConnections> {
  const target = parseRedisUrl(url);
  if (!target) throw new Error(`${url} is no redis url`);
  const connections = await connectRedis(target, log);
  await until('redis', connections.isReady);
  return connections;
}

function createLog(
  { commands }: RedisConnections,
  limits: GroupLogLimits,
  seen: Record<string, number> = {},
): GroupLog {
  return createRedisGroupLog({
    redis: commands,
    names,
    node: 'n1',
    ...limits,
    seen: (groupId) => (seen[groupId] === undefined ? null : { epoch: '1-a', seq: seen[groupId] }),
  });
}

const keysOf = (groupId: string): string[] =>
  ['state', 'log', 'ids', 'about'].map((name) => `${groupKey(groupId)}:${name}`);
const generation = (outcome: AppendOutcome | undefined): number =>
  outcome?.outcome === 'appended' ? Number.parseInt(outcome.position.epoch, 10) : 0;

describe.each([
  ['Redis', async (): Promise<RedisServer> => startRedis()],
  ['a Redis Cluster of three nodes', async (): Promise<RedisCluster> => startRedisCluster()],
])('%s', (name, start) => {
  let redis: RedisServer | RedisCluster;
  let connections: RedisConnections;

  beforeAll(async () => {
    redis = await start();
    connections = await connect(redis.url);
  });
  afterAll(async () => {
    connections?.close();
    await redis?.stop();
  });

  describeGroupLog(name, {
    async create(limits) {
      for (const groupId of ['g', 'one', 'two']) {
        await connections.commands.del(...keysOf(groupId));
      }
      return createLog(connections, limits);
    },
    ttlMs: 1_500,
    outlive: async () =>
      until('the end', async () => (await connections.commands.exists(`${groupKey('g')}:log`)) === 0).then(
        () => undefined,
      ),
  });

  const limits = { size: 10, bytes: 100_000, ttlMs: 60_000, totalBytes: 0 };

  test('commands of one turn leave together at its end', async () => {
    const { commands } = connections;
    const clients = commands instanceof Cluster ? commands.nodes() : [commands];
    // A node of a cluster that was not asked anything yet has no connection.
    const unsent = () => clients.reduce((sum, { stream }) => sum + (stream?.writableLength ?? 0), 0);
    await commands.set('turn', 0);
    const lengths: number[] = [];
    const answers = [1, 2, 3].map(async () => {
      const answer = commands.incr('turn');
      lengths.push(unsent());
      return answer;
    });
    expect(lengths[0]).toBeGreaterThan(0);
    expect(lengths[2]).toBeGreaterThan(lengths[0] ?? 0);
    expect(await Promise.all(answers)).toEqual([1, 2, 3]);
  });

  test('hands every event it keeps to its listeners, ready to be shown, and says how many they are', async () => {
    const groupLog = createLog(connections, limits);
    const heard: ReturnType<typeof decodeGroupMessage>[] = [];
    connections.subscriber.on('smessage', (channel: string, text: string) => {
      if (channel === groupKey('heard')) heard.push(decodeGroupMessage(text));
    });
    const message = { content: 'hi\n"there"', id: 'forged' };
    const input = { groupId: 'heard', id: 'm1', event: 'new-message', message };
    expect(await groupLog.append(input)).toMatchObject({ outcome: 'appended', nodes: 0 });
    await connections.subscriber.ssubscribe(groupKey('heard'));
    const outcome = await groupLog.append({ ...input, id: 'm2', exceptUserId: 'alice', exceptSocketId: 's1' });
    expect(outcome).toMatchObject({ outcome: 'appended', position: { seq: 2 }, nodes: 1 });
    expect(await groupLog.append({ ...input, id: 'm2' })).toMatchObject({ outcome: 'duplicate' });
    await until('the event', () => heard.length > 0);
    expect(heard).toEqual([
      {
        type: 'event',
        node: 'n1',
        exceptUserId: 'alice',
        exceptSocketId: 's1',
        event: {
          event: 'new-message',
          id: 'm2',
          groupId: 'heard',
          epoch: (await groupLog.head('heard'))?.epoch,
          seq: 2,
          content: message.content,
        },
      },
    ]);
  });

  test('a log that knows less than this node has seen opens another epoch instead of handing out old numbers (G29)', async () => {
    const groupLog = createLog(connections, limits);
    const input = { groupId: 'restored', event: 'e', message: {} };
    const first = await groupLog.append({ ...input, id: 'a' });
    const epoch = first.outcome === 'appended' ? first.position.epoch : '';
    const later = createRedisGroupLog({
      redis: connections.commands,
      names,
      node: 'n2',
      ...limits,
      seen: () => ({ epoch, seq: 7 }),
    });
    const second = await later.append({ ...input, id: 'b' });
    expect(second).toMatchObject({ outcome: 'appended', position: { seq: 1 } });
    expect(generation(second)).toBeGreaterThan(generation(first));
  });

  /** The state of the group in Redis now, which it is put back to later, as by a failover. */
  async function keep(groupId: string): Promise<() => Promise<void>> {
    const { commands } = connections;
    const held: string[] = [];
    for (const key of keysOf(groupId)) if (await commands.copy(key, `${key}:kept`)) held.push(key);
    return async () => {
      await commands.del(...keysOf(groupId));
      for (const key of held) await commands.copy(`${key}:kept`, key);
    };
  }

  test('… also of a group that has no members on this node: it remembers what it was answered', async () => {
    const groupLog = createLog(connections, limits);
    const send = async (id: string) => groupLog.append({ groupId: 'lost', id, event: 'e', message: {} });
    const first = await send('a');
    const lose = await keep('lost');
    await send('b');
    await send('c');
    await lose();
    const after = await send('d');
    expect(after).toMatchObject({ outcome: 'appended', position: { seq: 1 } });
    expect(generation(after)).toBeGreaterThan(generation(first));
    expect(await send('e')).toMatchObject({ position: { seq: 2 } });
    // All of that is lost, and the epoch with it.
    await lose();
    const again = await send('f');
    expect(generation(again)).toBeGreaterThan(generation(after));
    await connections.commands.del(...keysOf('lost'));
    expect(generation(await send('g'))).toBeGreaterThan(generation(again));
  });

  test('a log that has lost numbers of the API waits for the API to bring them again', async () => {
    const groupLog = createLog(connections, limits);
    const send = async (seq: number) =>
      groupLog.append({ groupId: 'numbered', id: `m${seq}`, event: 'e', message: {}, position: { epoch: '1-a', seq } });
    await send(1);
    const lose = await keep('numbered');
    await send(2);
    await send(3);
    await lose();
    expect(await groupLog.append({ groupId: 'numbered', id: 'x', event: 'e', message: {} })).toMatchObject({
      outcome: 'unpositioned',
    });
    expect(await send(4)).toEqual({ outcome: 'gap', head: { epoch: '1-a', seq: 1 } });
    expect(await send(2)).toMatchObject({ outcome: 'appended' });
  });

  describe('a log that an earlier version has written', () => {
    const entry = (seq: number, event: string, fields: object): string =>
      `m${seq}\n\n${JSON.stringify({ event, id: `m${seq}`, groupId: 'old', epoch: '1-a', seq, ...fields })}`;
    const at = (seq: number) => ({ epoch: '1-a', seq });

    /** Writes as that version did: without the fields and the index that came later. */
    async function write(from: number, entries: string[], state: Record<string, string | number>): Promise<void> {
      const [stateKey = '', logKey = '', idsKey = ''] = keysOf('old');
      for (const [index, text] of entries.entries()) {
        await connections.commands.hset(logKey, String(from + index), text);
        await connections.commands.hset(idsKey, `m${from + index}`, String(from + index));
      }
      await connections.commands.hset(stateKey, state);
    }
    const old = [
      entry(5, 'new-message', { content: 'secret' }),
      entry(6, 'message-updated', { messageId: 'm5', content: 'secret too' }),
      entry(7, 'new-message', { content: 'stays' }),
    ];
    const contents = async (groupLog: GroupLog): Promise<unknown[]> =>
      (await groupLog.read('old', 0, 20)).events.map(({ seq, content = '' }) => `${seq} ${String(content)}`.trim());
    const remove = async (groupLog: GroupLog, seq: number, messageId: string) =>
      groupLog.append({
        groupId: 'old',
        id: `d${seq}`,
        event: 'message-deleted',
        message: { messageId },
        position: at(seq),
      });

    beforeEach(async () => {
      await connections.commands.del(...keysOf('old'));
      await write(5, old, { e: '1-a', a: 'p', h: 7, f: 4, b: 500 });
    });

    test('is read, goes on, and gives up the words of what is deleted', async () => {
      const groupLog = createLog(connections, limits);
      expect(await groupLog.read('old', 0, 20)).toMatchObject({ head: at(7), floor: 4, newsAfter: 4 });
      expect(
        await groupLog.append({ groupId: 'old', id: 'm8', event: 'e', message: {}, position: at(8) }),
      ).toMatchObject({ outcome: 'appended' });
      await remove(groupLog, 9, 'm5');
      expect(await contents(groupLog)).toEqual(['5', '6', '7 stays', '8', '9']);
    });

    test('may be written by both in turn', async () => {
      const groupLog = createLog(connections, limits);
      await groupLog.append({ groupId: 'old', id: 'm8', event: 'e', message: {}, position: at(8) });
      await write(9, [entry(9, 'message-updated', { messageId: 'm5', content: 'secret' })], { h: 9 });
      await remove(groupLog, 10, 'm5');
      expect(await contents(groupLog)).toEqual(['5', '6', '7 stays', '8', '9', '10']);
    });

    test('is filled, without words that it says are deleted', async () => {
      await write(8, [entry(8, 'message-deleted', { messageId: 'm4' })], { h: 8 });
      const groupLog = createLog(connections, limits);
      await groupLog.backfill('old', at(4), [
        { event: 'new-message', id: 'm4', groupId: 'old', ...at(4), content: 'secret' },
      ]);
      expect(await contents(groupLog)).toEqual(['4', '5 secret', '6 secret too', '7 stays', '8']);
    });
  });

  test('a message that is no text, such as half a surrogate, can be deleted, and a large number stays what it is', async () => {
    const groupLog = createLog(connections, limits);
    const seq = 1_700_000_000_000_001;
    const at = (n: number) => ({ epoch: '1-a', seq: seq + n });
    const input = { groupId: 'odd', event: 'new-message', message: { content: 'cut \ud83d' } };
    await groupLog.append({ ...input, id: 'm1', position: at(0) });
    const deleted = { ...input, event: 'message-deleted', message: { messageId: 'm1' }, id: 'd1', position: at(1) };
    expect(await groupLog.append(deleted)).toMatchObject({ outcome: 'appended', position: at(1) });
    const { events } = await groupLog.read('odd', seq - 1, 10);
    expect(events.map((event) => [event.seq, event['content'] ?? null])).toEqual([
      [seq, ''],
      [seq + 1, null],
    ]);
  });

  test('events that two relays append at once are numbered once', async () => {
    const logs = [
      createLog(connections, { ...limits, size: 1_000 }),
      createLog(connections, { ...limits, size: 1_000 }),
    ];
    await Promise.all(
      Array.from({ length: 200 }, async (_, n) =>
        logs[n % 2]?.append({ groupId: 'busy', id: `m${n}`, event: 'e', message: { n } }),
      ),
    );
    const page = await logs[0]?.read('busy', 0, 1_000);
    expect(page?.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    expect(new Set(page?.events.map(({ id }) => id)).size).toBe(200);
  });
});

test('a connection that its client has given up is made anew', async () => {
  const redis = await startRedis();
  const connections = await connect(redis.url);
  const { commands, subscriber, blocking } = connections;
  const clients = [commands, subscriber, blocking];
  await until('all of them', () => clients.every(({ status }) => status === 'ready'));
  for (const client of clients) client.disconnect();
  await until('the end', () => clients.every(({ status }) => status === 'end'));
  await until('all of them again', () => clients.every(({ status }) => status === 'ready'));
  await until('redis', connections.isReady);
  connections.close();
  await until('the end', () => clients.every(({ status }) => status === 'end'));
  await redis.stop();
});

test('a failover that loses what Redis had acknowledged makes no relay hand out numbers twice (G29)', {
  timeout: 60_000,
}, async () => {
  const redis = await startRedisSentinel();
  const connections = await connect(redis.url);
  const groupLog = createLog(connections, { size: 10, bytes: 100_000, ttlMs: 60_000, totalBytes: 0 });
  const send = async (id: string) => groupLog.append({ groupId: 'g', id, event: 'e', message: {} });
  const heldBy = (server: RedisServer): number => Number(server.ask('hget', `${groupKey('g')}:state`, 'h'));
  await send('a');
  await until('the replica', () => heldBy(redis.replica) === 1);
  redis.cutReplication();
  const lost = [await send('b'), await send('c')];
  expect([heldBy(redis.replica), heldBy(redis.master)]).toEqual([1, 3]);
  await redis.master.kill();
  await redis.tookOver();
  const after = await until('the next to be accepted', async () => send('d'), 30_000);
  expect(after).toMatchObject({ outcome: 'appended', position: { seq: 1 } });
  expect(generation(after)).toBeGreaterThan(generation(lost[1]));
  connections.close();
  await redis.stop();
});

describe('one call of Redis has a bound', () => {
  let redis: RedisServer;
  let connections: RedisConnections;
  const limits = { size: 10_000, bytes: 100_000_000, ttlMs: 60_000, totalBytes: 0 };
  const at = (seq: number) => ({ epoch: '1-a', seq });

  beforeAll(async () => {
    redis = await startRedis();
    connections = await connect(redis.url);
  });
  afterAll(async () => {
    connections?.close();
    await redis?.stop();
  });

  async function append(groupLog: GroupLog, from: number, to: number, event = 'new-message', message = {}) {
    await Promise.all(
      Array.from({ length: to - from + 1 }, async (_, index) =>
        groupLog.append({ groupId: 'g', id: `m${from + index}`, event, message, position: at(from + index) }),
      ),
    );
  }
  /** How many commands Redis carried out meanwhile, those of scripts included. */
  async function commandsOf(work: () => Promise<unknown>): Promise<number> {
    redis.ask('config', 'resetstat');
    await work();
    const calls = redis.ask('info', 'commandstats').matchAll(/^cmdstat_[^:]+:calls=(\d+)/gm);
    return [...calls].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  test('a deletion looks at its message and the edits of it, however long the log is (G31)', async () => {
    const groupLog = createLog(connections, limits);
    await groupLog.append({ groupId: 'g', id: 'm2', event: 'e', message: {}, position: at(1) });
    await append(groupLog, 2, 3_000);
    await append(groupLog, 3_001, 3_003, 'message-updated', { messageId: 'm7' });
    const deletion = async () => append(groupLog, 3_004, 3_004, 'message-deleted', { messageId: 'm7' });
    expect(await commandsOf(deletion)).toBeLessThan(50);
    const { events } = await groupLog.read('g', 3_000, 3);
    expect(events.map((event) => event['deleted'])).toEqual([true, true, true]);
  });

  test('a smaller HISTORY_SIZE lets go of a thousand events at a time (G31)', async () => {
    const groupLog = createLog(connections, { ...limits, size: 10 });
    const floors: number[] = [];
    for (let seq = 3_005; seq <= 3_008; seq += 1) {
      await append(groupLog, seq, seq);
      floors.push((await groupLog.read('g', 0, 0)).floor);
    }
    expect(floors).toEqual([1_000, 2_000, 2_997, 2_998]);
    // Nothing is left of dropped events, in no index either.
    const { commands } = connections;
    const [, logKey = '', idsKey = '', aboutKey = ''] = keysOf('g');
    expect([await commands.hlen(logKey), await commands.hlen(idsKey), await commands.zcard(aboutKey)]).toEqual([
      10, 10, 1,
    ]);
    await append(groupLog, 3_009, 3_020);
    expect(await commands.zcard(aboutKey)).toBe(0);
  });

  test('a fill looks once at each event it brings, however many deletions there are among them (G31)', async () => {
    const groupLog = createLog(connections, limits);
    const events = Array.from({ length: 1_000 }, (_, index) => {
      const seq = index + 1;
      const envelope = { id: `f${seq}`, groupId: 'filled', ...at(seq) };
      return seq <= 500
        ? { ...envelope, event: 'new-message', content: 'secret' }
        : { ...envelope, event: 'message-deleted', messageId: `f${seq - 500}` };
    });
    expect(await commandsOf(async () => groupLog.backfill('filled', at(1_000), events))).toBeLessThan(10_000);
    expect(JSON.stringify(await groupLog.read('filled', 0, 1_000))).not.toContain('secret');
    const deletion = { groupId: 'filled', id: 'd', event: 'message-deleted', message: { messageId: 'f1' } };
    expect(await commandsOf(async () => groupLog.append({ ...deletion, position: at(1_001) }))).toBeLessThan(50);
  });
});

test('data from a channel that is no event is an error, not a guess', () => {
  for (const text of ['', 'x', 'n\n\n\n', 'n\n\n\n{}', 'n\n\n\n{"event":1,"id":"a","groupId":"g"}']) {
    expect(() => decodeGroupMessage(text)).toThrow(/./);
  }
});

test('while Redis is away everything fails at once with BROKER_UNAVAILABLE, naming the id, and works again when it is back', async () => {
  const redis = await startRedis();
  const connections = await connect(redis.url);
  const groupLog = createLog(connections, { size: 10, bytes: 100_000, ttlMs: 60_000, totalBytes: 0 });
  const input = { groupId: 'g', id: 'm1', event: 'e', message: {} };
  await redis.kill();
  await until('the end', () => !connections.isReady());
  await expect(groupLog.append(input)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', details: { id: 'm1' } });
  await expect(groupLog.head('g')).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', retryable: true });
  await redis.restart();
  await until('redis', connections.isReady);
  expect(await groupLog.append(input)).toMatchObject({ outcome: 'appended' });
  redis.pause();
  await expect(groupLog.append({ ...input, id: 'm2' })).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  redis.resume();
  connections.close();
  await redis.stop();
});

test.each([
  ['redis://localhost:6379', 'server'],
  ['rediss://:secret@redis.example.com/2', 'server'],
  ['redis://a:1, redis://b:2,redis://c:3', 'cluster'],
  ['redis+sentinel://:secret@a:26379,b/mymaster', 'sentinel'],
  ['http://localhost', undefined],
  ['localhost:6379', undefined],
  ['redis://a,nonsense', undefined],
  ['redis+sentinel://a', undefined],
])('%s is %s', (url, kind) => {
  expect(parseRedisUrl(url)?.kind).toBe(kind);
});
