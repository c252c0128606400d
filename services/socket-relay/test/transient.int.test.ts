import { startRedis, startRedisCluster, until } from '@groupcast/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alone, linked, onBus, onRedis, type SetUp, startNode, typing } from './transient-nodes.ts';

describe.each([
  ['alone', alone],
  ['on the bus of one machine', onBus],
  [
    'on Redis',
    async () => {
      const redis = await startRedis();
      return onRedis(redis.url, redis.stop);
    },
  ],
  [
    'on a Redis Cluster',
    async () => {
      const cluster = await startRedisCluster();
      return onRedis(cluster.url, cluster.stop);
    },
  ],
])('transient messages %s', (name, start) => {
  let setUp: SetUp;
  beforeAll(async () => {
    setUp = await start();
  });
  afterAll(async () => setUp?.stop());

  test('are shown on their own node at once', () => {
    const node = startNode(setUp);
    node.join('g');
    node.transient.tell('typing', typing('g'));
    expect(node.shown).toEqual([typing('g')]);
  });

  test('are neither sent nor shown by a node without a lease, which refuses to ask', async () => {
    const node = startNode(setUp);
    node.join('g');
    node.trusted = false;
    node.transient.tell('typing', typing('g'));
    expect(node.shown).toEqual([]);
    await expect(node.transient.ask('typing', typing('g'))).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });

  test('a question is answered with the sum of all nodes', async () => {
    const [one] = name === 'alone' ? [startNode(setUp)] : await linked(setUp, 'asked');
    one.join('asked');
    expect(await one.transient.ask('typing', typing('asked'))).toBe(name === 'alone' ? 1 : 2);
  });

  test('a handler that fails is a failure of nothing else', async () => {
    const node = startNode(setUp);
    node.join('g');
    node.transient.on('signal', () => {
      throw new Error('planted');
    });
    const signal = { groupId: 'g', fromUserId: 'a', toUserId: 'b', kind: 'offer', data: null };
    expect(await node.transient.ask('signal', signal)).toBe(0);
    node.transient.tell('typing', typing('g'));
    expect(node.shown).toHaveLength(1);
  });

  test.runIf(name !== 'alone')('come once and in order to nodes that have members, and to no other', async () => {
    // The room of the second has the length of a connection's id, for which the adapter makes an exception.
    for (const groupId of ['few', 'twelve-plus-2c']) {
      const [one, other] = await linked(setUp, groupId);
      const stranger = startNode(setUp);
      stranger.join('another');
      for (let n = 0; n < 100; n += 1) one.transient.tell('typing', typing(groupId, `u${n}`));
      expect(one.shown).toHaveLength(100);
      expect(await one.transient.ask('typing', typing(groupId, 'last'))).toBe(2);
      expect(other.shown.map(({ userId }) => userId)).toEqual(one.shown.map(({ userId }) => userId));
      expect(await stranger.received()).toBe(0);
    }
  });

  test.runIf(name !== 'alone')('come no more once the last member of a node has left', async () => {
    const [one, other] = await linked(setUp, 'left');
    other.join('left', 'second');
    other.leave('left');
    expect(await one.transient.ask('typing', typing('left'))).toBe(2);
    other.leave('left', 'second');
    await until('the other to be unsubscribed', async () => (await one.transient.ask('typing', typing('left'))) === 1);
    const received = await other.received();
    await one.transient.ask('typing', typing('left'));
    expect(await other.received()).toBe(received);
  });

  test.runIf(name !== 'alone')('are not shown by another node without a lease, whose answer is 0', async () => {
    const [one, other] = await linked(setUp, 'untrusted');
    other.trusted = false;
    expect(await one.transient.ask('typing', typing('untrusted'))).toBe(1);
    expect(other.shown).toEqual([]);
  });

  test.runIf(name !== 'alone')('of a name or with fields that only a later version knows do no harm', async () => {
    const [one, other] = await linked(setUp, 'later');
    const emit = one.transient.tell as (name: string, payload: object) => void;
    emit('applause', { groupId: 'later' });
    emit('typing', { ...typing('later'), isThinking: true });
    expect(await one.transient.ask('typing', typing('later', 'last'))).toBe(2);
    expect(other.shown).toEqual([typing('later'), typing('later', 'last')]);
    expect(await other.malformed()).toBe(0);
  });
});
