import { type RedisServer, received, startRedis, tokenWith, until } from '@groupcast/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const CHANGES = 'gc:{relays}:changes';

describe('Redis without memory', () => {
  let redis: RedisServer;
  let api: ApiStub;
  const relays: RelayUnderTest[] = [];

  beforeEach(async () => {
    redis = await startRedis();
    api = await startApiStub();
  });
  afterEach(async () => {
    redis.ask('config', 'set', 'maxmemory', '0');
    for (const relay of relays.splice(0)) await relay.close();
    await api.close();
    await redis.stop();
  });

  async function startRelay(): Promise<RelayUnderTest> {
    const relay = await startRelayUnderTest({ REDIS_URL: redis.url, API_URL: api.url });
    relays.push(relay);
    return relay;
  }
  /** From before everything that happens in a test. */
  async function oldToken(userId: string, groups: string[]): Promise<string> {
    const issuedAt = Math.floor(Date.now() / 1_000) - 60;
    return tokenWith({ sub: userId, groups, iat: issuedAt, exp: issuedAt + 3_600 });
  }
  /** Makes Redis let go of everything it has, as it would of the least used keys. */
  async function evict(): Promise<void> {
    redis.ask('config', 'set', 'maxmemory-policy', 'allkeys-lru');
    redis.ask('config', 'set', 'maxmemory', '1');
    await until('the eviction', () => redis.ask('exists', CHANGES) === '0');
    redis.ask('config', 'set', 'maxmemory', '0');
  }
  const warned = (relay: RelayUnderTest, text: string): number =>
    relay.logged.filter(({ msg }) => msg.includes(text)).length;

  /** Relays that have been there long enough for no claim to be asked about because of their own age. */
  function seedOldStream(): void {
    redis.ask('set', 'gc:{relays}:changes-since', '1');
    redis.ask('xadd', CHANGES, '*', 'j', JSON.stringify({ kind: 'remove-members', groupId: '-', userIds: [] }));
  }

  test.each([
    ['alone', async () => void redis.ask('del', CHANGES)],
    ['with everything else', evict],
  ])(
    'a removal that was evicted %s brings nobody back: a relay that starts afterwards asks the API (G40)',
    async (_, lose) => {
      seedOldStream();
      const first = await startRelay();
      await first.broadcaster.removeMembers({ groupId: '1', userIds: ['alice'] });
      await lose();
      const late = await startRelay();
      const alice = late.client({ token: await oldToken('alice', ['1']) });
      expect(await received(alice, 'joined-groups')).toEqual({ groups: [] });
      expect(api.queries).toEqual([{ users: [{ userId: 'alice', groupIds: ['1'] }] }]);
    },
  );

  test('a relay that runs says that its changes of members were evicted, and asks the API from then on', async () => {
    api.members.add('bob 1');
    seedOldStream();
    const relay = await startRelay();
    await received(relay.client({ token: await oldToken('bob', ['1']) }), 'joined-groups');
    expect(api.queries).toEqual([]);
    await evict();
    await until('the loss to be noticed', () => warned(relay, 'redis has lost changes of members') === 1);
    const bob = relay.client({ token: await oldToken('bob', ['1']) });
    expect(await received(bob, 'joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
    expect(api.queries).toHaveLength(1);
  });

  test('a policy by which Redis may evict is warned about at the start, and none is not', async () => {
    const policy = 'redis may evict the data that the relays share';
    expect(warned(await startRelay(), policy)).toBe(0);
    redis.ask('config', 'set', 'maxmemory-policy', 'volatile-lru');
    expect(warned(await startRelay(), policy)).toBe(1);
  });

  test('full, publishers are told to come again, members stay, a removal is carried out, and it is said in log and readiness', async () => {
    const relay = await startRelay();
    const readiness = async () => (await fetch(`${relay.internalUrl}/readyz`)).json();
    const [alice, bob] = [await relay.member('alice'), await relay.member('bob')];
    await relay.broadcaster.addMembers({ groupId: '1', userIds: ['alice', 'bob'] });
    await relay.broadcaster.broadcastMessage({ groupId: '1', message: { n: 1 } });
    redis.ask('config', 'set', 'maxmemory', '1');
    for (const groupId of ['1', 'new', '1', 'new']) {
      await expect(relay.broadcaster.broadcastMessage({ groupId, message: { n: 2 } })).rejects.toMatchObject({
        code: 'BROKER_UNAVAILABLE',
        retryable: true,
      });
    }
    expect(await readiness()).toEqual({ status: 'unready', failing: ['redis'] });
    expect(warned(relay, 'redis is out of memory')).toBe(1);
    const left = received(alice, 'left-groups');
    await relay.broadcaster.removeMembers({ groupId: '1', everyone: true });
    expect(await left).toEqual({ groups: ['1'], reason: 'member-removed' });
    expect(await ask(bob, 'leave-group', { groupId: '1' })).toMatchObject({ ok: true });

    redis.ask('config', 'set', 'maxmemory', '0');
    expect(await relay.broadcaster.broadcastMessage({ groupId: '1', message: { n: 2 } })).toMatchObject({
      duplicate: false,
    });
    await until(
      'the relay to be ready',
      async () => ((await readiness()) as { status: string }).status === 'ready',
      20_000,
    );
    expect([alice.connected, bob.connected]).toEqual([true, true]);
  });
});
