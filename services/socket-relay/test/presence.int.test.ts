import { type RedisServer, received, startRedis, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

interface Answer {
  users: { userId: string; connections: number }[];
  numUsers: number;
  numConnections: number;
}

/** The presence that members are told, in order, as `+alice` and `-alice`. */
function told(socket: Socket, groupId: string): string[] {
  const changes: string[] = [];
  socket.on('presence', (payload: { groupId: string; online: string[]; offline: string[] }) => {
    if (payload.groupId !== groupId) return;
    changes.push(...payload.online.map((userId) => `+${userId}`), ...payload.offline.map((userId) => `-${userId}`));
  });
  return changes;
}

describe.each([
  ['one relay', 1],
  ['three relays', 3],
])('presence on %s', (_, count) => {
  let redis: RedisServer | undefined;
  const relays: RelayUnderTest[] = [];
  let groups = 0;
  let groupId = '';

  beforeAll(async () => {
    if (count > 1) redis = await startRedis();
  });
  afterEach(async () => {
    await Promise.all(relays.splice(0).map(async (relay) => relay.close()));
  });
  afterAll(async () => {
    await redis?.stop();
  });

  async function start(): Promise<[RelayUnderTest, RelayUnderTest]> {
    const env = redis ? { REDIS_URL: redis.url, NODE_LEASE_SECONDS: '3' } : {};
    relays.push(...(await Promise.all(Array.from({ length: count }, async () => startRelayUnderTest(env)))));
    groups += 1;
    groupId = `presence${groups}`;
    return [relays[0], relays[count - 1]] as [RelayUnderTest, RelayUnderTest];
  }
  const presence = async (socket: Socket): Promise<Answer> =>
    (await ask<Answer>(socket, 'get-presence', { groupId })) as Answer;
  const users = async (socket: Socket): Promise<string[]> =>
    (await presence(socket)).users.map(({ userId, connections }) => `${userId} ${connections}`).toSorted();

  test('members ask for the online users and their numbers of connections; others may not', async () => {
    const [first, last] = await start();
    const alice = await first.member('alice', [groupId]);
    await last.member('alice', [groupId]);
    await last.member('bob', [groupId]);
    await until('everybody', async () => (await users(alice)).join() === 'alice 2,bob 1');
    expect(await presence(alice)).toMatchObject({ numUsers: 2, numConnections: 3 });
    const stranger = await last.member('carol');
    expect(await ask(stranger, 'get-presence', { groupId })).toBe('NOT_A_MEMBER');
    expect(await ask(stranger, 'watch-group', { groupId, on: true })).toBe('NOT_A_MEMBER');
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      scopes: ['broadcast'],
      subject: 'b',
    });
    const api = last.client({ token, type: 'api' });
    await received(api, 'connect');
    expect(await ask(api, 'api-get-presence', { groupId })).toMatchObject({ groupId, numUsers: 2 });
    const response = await fetch(`${first.internalUrl}/v1/groups/${groupId}/presence`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await response.json()).toMatchObject({ ok: true, groupId, numUsers: 2, numConnections: 3 });
  });

  test('members are told of users that come and go, once per user and not per connection', async () => {
    const [first, last] = await start();
    const alice = await first.member('alice', [groupId]);
    const changes = told(alice, groupId);
    const bobs = [await last.member('bob', [groupId]), await first.member('bob', [groupId])];
    await until('bob', () => changes.includes('+bob'));
    bobs[0]?.close();
    await last.member('carol', [groupId]);
    await until('carol', () => changes.includes('+carol'));
    bobs[1]?.close();
    await until('bob to be gone', () => changes.includes('-bob'));
    expect(changes.filter((change) => change.endsWith('bob'))).toEqual(['+bob', '-bob']);
    expect(await users(alice)).toEqual(['alice 1', 'carol 1']);
  });

  test('a user who reconnects in a moment, on whichever relay, is never reported offline', async () => {
    const [first, last] = await start();
    const alice = await first.member('alice', [groupId]);
    const changes = told(alice, groupId);
    const bob = await last.member('bob', [groupId]);
    await until('bob', () => changes.includes('+bob'));
    bob.close();
    await first.member('bob', [groupId]);
    // Carol comes and goes after it: her way takes as long as his would have.
    const carol = await last.member('carol', [groupId]);
    await until('carol', () => changes.includes('+carol'));
    carol.close();
    await until('carol to be gone', () => changes.includes('-carol'));
    expect(changes.filter((change) => change.endsWith('bob'))).toEqual(['+bob']);
  });

  test('a user who leaves the group, or is removed from it, is not there any more', async () => {
    const [first, last] = await start();
    const alice = await first.member('alice', [groupId]);
    const changes = told(alice, groupId);
    const [bob] = [await last.member('bob', [groupId]), await last.member('carol', [groupId])];
    await until('both', () => changes.includes('+bob') && changes.includes('+carol'));
    await ask(bob, 'leave-group', { groupId });
    await first.broadcaster.removeMembers({ groupId, userIds: ['carol'] });
    await until('nobody', () => changes.includes('-bob') && changes.includes('-carol'));
    expect(await users(alice)).toEqual(['alice 1']);
  });

  test('in a large group only connections that asked are told', async () => {
    const [first, last] = await start();
    const [quiet, asking] = [await first.member('quiet', [groupId]), await last.member('asking', [groupId])];
    const crowd = await Promise.all(Array.from({ length: 105 }, async (_unused, n) => last.member(`u${n}`, [groupId])));
    await until('the crowd', async () => (await presence(quiet)).numUsers === 107);
    expect(await ask(asking, 'watch-group', { groupId, on: true })).toMatchObject({ ok: true });
    const [atQuiet, atAsking] = [told(quiet, groupId), told(asking, groupId)];
    await first.member('late', [groupId]);
    await until('who came late', () => atAsking.includes('+late'));
    expect(atQuiet).not.toContain('+late');
    for (const socket of crowd) socket.close();
  });
});

describe('presence on relays that die', () => {
  test('a relay that was killed leaves no ghosts, and one that lost Redis is whole again after it', async () => {
    const redis = await startRedis();
    const { startRelayProcess } = await import('@groupcast/testing');
    const env = { REDIS_URL: redis.url, NODE_LEASE_SECONDS: '3' };
    const [relay, doomed] = [
      await startRelayUnderTest(env),
      await startRelayProcess({ ...env, SHUTDOWN_DRAIN_SECONDS: '0' }),
    ];
    const alice = await relay.member('alice', ['g']);
    const changes = told(alice, 'g');
    const { io } = await import('socket.io-client');
    const bob = io(doomed.url, {
      forceNew: true,
      transports: ['websocket'],
      reconnection: false,
      auth: { token: await tokenFor('bob', ['g']) },
    });
    await until('bob', () => changes.includes('+bob'));
    await doomed.stop();
    await until('bob to be gone', () => changes.includes('-bob'), 20_000);
    bob.close();
    expect(JSON.parse(JSON.stringify(redis.ask('hkeys', 'gc:{g}:presence')))).not.toContain('bob');

    await redis.kill();
    await until('away', async () => (await ask(alice, 'get-presence', { groupId: 'g' })) === 'BROKER_UNAVAILABLE');
    await redis.restart();
    await until('whole', () => redis.ask('hkeys', 'gc:{g}:presence').includes('alice'));
    expect(await ask(alice, 'get-presence', { groupId: 'g' })).toMatchObject({ numUsers: 1 });
    await relay.close();
    await redis.stop();
  });
});
