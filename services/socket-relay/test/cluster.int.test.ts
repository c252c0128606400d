import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GroupcastError, GroupEvent } from '@groupcast/shared';
import {
  type RedisServer,
  received,
  startRedis,
  startTcpProxy,
  type TcpProxy,
  tokenFor,
  tokenWith,
  until,
} from '@groupcast/testing';
import { Redis } from 'ioredis';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

const EPOCH = '1-a';

describe('several relays on one Redis', () => {
  let redis: RedisServer;
  let admin: Redis;
  const relays: RelayUnderTest[] = [];
  let groups = 0;

  beforeAll(async () => {
    redis = await startRedis(['--appendonly', 'yes']);
    admin = new Redis(redis.url);
    admin.on('error', () => undefined);
  });
  const closeRelays = async () => Promise.all(relays.splice(0).map(async (relay) => relay.close()));
  afterEach(async () => {
    await closeRelays();
  });
  afterAll(async () => {
    admin?.disconnect();
    await redis?.stop();
  });

  async function startRelays(count: number, env: Readonly<Record<string, string>> = {}): Promise<RelayUnderTest[]> {
    const started = await Promise.all(
      Array.from({ length: count }, async () => startRelayUnderTest({ REDIS_URL: redis.url, ...env })),
    );
    relays.push(...started);
    return started;
  }
  async function threeRelays(): Promise<[RelayUnderTest, RelayUnderTest, RelayUnderTest]> {
    return (await startRelays(3)) as [RelayUnderTest, RelayUnderTest, RelayUnderTest];
  }
  const newGroup = (): string => {
    groups += 1;
    return `g${groups}`;
  };
  /** The events of the group that the connection gets, in order. */
  function shown(socket: Socket, groupId: string): GroupEvent[] {
    const events: GroupEvent[] = [];
    socket.on('new-message', (event: GroupEvent) => {
      if (event.groupId === groupId) events.push(event);
    });
    return events;
  }
  const seqs = (events: readonly GroupEvent[]): number[] => events.map(({ seq }) => seq);
  const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const positioned = (groupId: string, seq: number) => ({
    groupId,
    epoch: EPOCH,
    seq,
    id: `${groupId}-${seq}`,
    message: { content: `message ${seq}` },
  });
  const isReady = async (relay: RelayUnderTest): Promise<boolean> => (await fetch(`${relay.internalUrl}/readyz`)).ok;

  test('a broadcast reaches every member once, in order, whichever relay they are on and whichever takes it (G22)', async () => {
    const all = await threeRelays();
    const groupId = newGroup();
    const members = await Promise.all(all.map(async (relay, n) => relay.member(`user${n}`, [groupId])));
    const seen = members.map((member) => shown(member, groupId));
    for (let seq = 1; seq <= 60; seq += 1) {
      const result = await all[seq % 3]?.broadcaster.broadcastMessage(positioned(groupId, seq));
      expect(result).toMatchObject({ duplicate: false, recipients: { connections: 1, nodes: 3 }, warnings: [] });
    }
    for (const events of seen) {
      await until('every event', () => events.length >= 60);
      expect(seqs(events)).toEqual(numbers(1, 60));
    }
    // It comes with the span that its publisher names, also to members at other relays.
    const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
    await all[0].broadcaster.broadcastMessage({ groupId, message: { content: 'traced' }, traceparent });
    for (const events of seen) {
      await until('the traced one', () => events.some((event) => event['traceparent'] === traceparent));
      events.splice(60);
    }
    // The same again, at another relay, goes to nobody.
    expect(await all[1].broadcaster.broadcastMessage(positioned(groupId, 60))).toMatchObject({ duplicate: true });
    await all[2].broadcaster.broadcastMessage(positioned(groupId, 61));
    for (const events of seen) {
      await until('the next one', () => events.length >= 61);
      expect(seqs(events)).toEqual(numbers(1, 61));
    }
  });

  test('numbers given by relays that publish at once are one sequence for everybody', async () => {
    const all = await threeRelays();
    const groupId = newGroup();
    const member = await all[0].member('alice', [groupId]);
    const events = shown(member, groupId);
    await Promise.all(
      numbers(1, 90).map(async (n) =>
        all[n % 3]?.broadcaster.broadcastMessage({ groupId, id: `m${n}`, message: { content: `${n}` } }),
      ),
    );
    await until('every event', () => events.length >= 90);
    expect(seqs(events)).toEqual(numbers(1, 90));
  });

  test('a member who joins in the middle of a stream has everything from there on, on whichever relay', async () => {
    const [first, second, third] = await threeRelays();
    const groupId = newGroup();
    let seq = 0;
    let done = false;
    const stream = (async () => {
      while (!done) await first.broadcaster.broadcastMessage(positioned(groupId, (seq += 1)));
    })();
    const joined = await Promise.all(
      numbers(1, 12).map(async (n) => {
        const relay = n % 2 ? second : third;
        const socket = relay.client({ token: await tokenFor(`user${n}`, [groupId]) });
        const events = shown(socket, groupId);
        const { groups: named } = await received<{ groups: { position: { seq: number } | null }[] }>(
          socket,
          'joined-groups',
        );
        return { from: named[0]?.position?.seq ?? 0, events };
      }),
    );
    await until('some more', () => seq > 200);
    done = true;
    await stream;
    for (const { from, events } of joined) {
      await until('the last event', () => events.at(-1)?.seq === seq);
      expect(seqs(events)).toEqual(numbers(from + 1, seq));
    }
  });

  test('a member who comes back to another relay gets what was missed from the shared log', async () => {
    const [first, second] = await threeRelays();
    const groupId = newGroup();
    const member = await first.member('alice', [groupId]);
    for (const seq of numbers(1, 3)) await first.broadcaster.broadcastMessage(positioned(groupId, seq));
    member.close();
    for (const seq of numbers(4, 9)) await second.broadcaster.broadcastMessage(positioned(groupId, seq));
    const token = await tokenFor('alice', [groupId]);
    const back = second.client({ token, positions: { [groupId]: { epoch: EPOCH, seq: 3 } } });
    const { groups: answer } = await received<{ groups: Record<string, { events: GroupEvent[]; recovered: boolean }> }>(
      back,
      'resumed',
    );
    expect([answer[groupId]?.recovered, seqs(answer[groupId]?.events ?? [])]).toEqual([true, numbers(4, 9)]);
  });

  test('a relay without members of a group hears nothing of it, and stops to listen when the last one leaves (G24)', async () => {
    const [first, second] = await threeRelays();
    const groupId = newGroup();
    const listeners = async () =>
      Number(((await admin.call('PUBSUB', 'SHARDNUMSUB', `gc:{${groupId}}`)) as unknown[])[1]);
    const member = await first.member('alice', [groupId]);
    expect(await listeners()).toBe(1);
    const result = await second.broadcaster.broadcastMessage(positioned(groupId, 1));
    expect(result).toMatchObject({ recipients: { connections: 0, nodes: 1 }, warnings: [] });
    await ask(member, 'leave-group', { groupId });
    await until('nobody listens', async () => (await listeners()) === 0, 20_000);
    expect((await second.broadcaster.broadcastMessage(positioned(groupId, 2))).warnings).toEqual(['NO_RECIPIENTS']);
  });

  describe('a member who came while the log was empty', () => {
    let api: Server;
    let proxy: TcpProxy | undefined;
    afterEach(async () => {
      // A relay that cannot say goodbye is counted on for the rest of its lease.
      await closeRelays();
      await proxy?.close();
      api.closeAllConnections();
      await new Promise((resolve) => api.close(resolve));
    });

    /** A relay whose API knows the group's first events. */
    async function startRelayWithHistory(groupId: string, last: number): Promise<RelayUnderTest> {
      const events = numbers(1, last).map((seq) => {
        const { message, ...envelope } = positioned(groupId, seq);
        return { event: 'new-message', ...envelope, ...message };
      });
      api = createServer((request, response) => {
        const isHistory = request.url === '/internal/history';
        const answer = isHistory ? { groups: [{ groupId, position: { epoch: EPOCH, seq: last }, events }] } : {};
        request.resume().on('end', () => response.end(JSON.stringify(answer)));
      });
      await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
      const [relay] = await startRelays(1, { API_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}` });
      return relay as RelayUnderTest;
    }
    /** Somebody comes back to the relay with a position, so that it fills the log. */
    async function fill(relay: RelayUnderTest, groupId: string): Promise<void> {
      const token = await tokenFor('bob', [groupId]);
      const bob = relay.client({ token, positions: { [groupId]: { epoch: EPOCH, seq: 2 } } });
      const { groups: answer } = await received<{ groups: Record<string, { recovered: boolean }> }>(bob, 'resumed');
      expect(answer[groupId]?.recovered).toBe(true);
    }

    test('is shown what is new, not what another relay has filled it with (G30)', async () => {
      const groupId = newGroup();
      const filling = await startRelayWithHistory(groupId, 5);
      const [first] = await startRelays(1);
      const atAlice = shown((await first?.member('alice', [groupId])) as Socket, groupId);
      await fill(filling, groupId);
      for (const seq of numbers(6, 7)) await filling.broadcaster.broadcastMessage(positioned(groupId, seq));
      await until('what is new', () => atAlice.at(-1)?.seq === 7);
      expect(seqs(atAlice)).toEqual([6, 7]);
    });

    test('… nor what it was filled with below an event that they had missed', async () => {
      proxy = await startTcpProxy(redis.port);
      const groupId = newGroup();
      const filling = await startRelayWithHistory(groupId, 5);
      const [away] = await startRelays(1, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      const atAlice = shown((await away?.member('alice', [groupId])) as Socket, groupId);
      proxy.cut();
      proxy.freeze();
      await filling.broadcaster.broadcastMessage(positioned(groupId, 6));
      await fill(filling, groupId);
      proxy.thaw();
      await until('what was missed', () => atAlice.at(-1)?.seq === 6);
      expect(seqs(atAlice)).toEqual([6]);
    });
  });

  test('an excluded user is left out on every relay, and steps over the event', async () => {
    const [first, second] = await threeRelays();
    const groupId = newGroup();
    const [alice, bob] = [await second.member('alice', [groupId]), await second.member('bob', [groupId])];
    const head = received<{ skipId?: string }>(alice, 'group-head');
    const event = received(bob, 'new-message');
    await first.broadcaster.broadcastMessage({ ...positioned(groupId, 1), exceptUserId: 'alice' });
    expect((await head).skipId).toBe(`${groupId}-1`);
    await event;
    const direct = received<{ skipId?: string }>(bob, 'group-head');
    await first.broadcaster.broadcastMessage({ ...positioned(groupId, 2), exceptSocketId: bob.id ?? '' });
    expect((await direct).skipId).toBe(`${groupId}-2`);
  });

  test('an event without a place, in a group of the API, reaches everybody live, once', async () => {
    const all = await threeRelays();
    const groupId = newGroup();
    const members = await Promise.all(all.map(async (relay, n) => relay.member(`user${n}`, [groupId])));
    await all[0].broadcaster.broadcastMessage(positioned(groupId, 1));
    const heard: string[] = [];
    members.forEach((member, n) => member.on('hint', () => heard.push(`user${n}`)));
    const result = await all[1].broadcaster.broadcastMessage({ groupId, event: 'hint', message: {} });
    expect(result).toMatchObject({ position: null, warnings: ['UNPOSITIONED'], recipients: { nodes: 3 } });
    await all[2].broadcaster.broadcastMessage(positioned(groupId, 2));
    await Promise.all(members.map(async (member) => until('the last', () => ask(member, 'leave-group', { groupId }))));
    expect(heard.toSorted()).toEqual(['user0', 'user1', 'user2']);
  });

  test('of a new epoch the first event is shown before the second, although it was missed', async () => {
    const [first, second] = await threeRelays();
    const groupId = newGroup();
    const events = shown(await second.member('alice', [groupId]), groupId);
    const send = async (epoch: string, seq: number) =>
      first.broadcaster.broadcastMessage({ ...positioned(groupId, seq), epoch, id: `${epoch}-${seq}` });
    await send('1-a', 1);
    await until('the first', () => events.length === 1);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    for (const seq of numbers(1, 3)) await send('2-b', seq);
    await until('the new epoch', () => events.length >= 4);
    expect(events.map(({ epoch, seq }) => `${epoch} ${seq}`)).toEqual(['1-a 1', '2-b 1', '2-b 2', '2-b 3']);
  });

  test('a change that nobody understands keeps no relay from starting', async () => {
    await admin.xadd('gc:{relays}:changes', '*', 'j', 'null');
    const [relay] = await startRelays(1);
    await relay?.member('alice', [newGroup()]);
    await admin.del('gc:{relays}:changes');
  });

  describe('members', () => {
    test('added and removed at one relay, are in and out at every relay before the answer', async () => {
      const [first, second, third] = await threeRelays();
      const groupId = newGroup();
      const [here, there] = [await second.member('alice'), await third.member('alice')];
      const joined = [received(here, 'joined-groups'), received(there, 'joined-groups')];
      await first.broadcaster.addMembers({ groupId, userIds: ['alice'], epoch: EPOCH, seq: 1 });
      await Promise.all(joined);
      const events = [shown(here, groupId), shown(there, groupId)];
      await first.broadcaster.broadcastMessage(positioned(groupId, 1));
      for (const list of events) await until('the event', () => list.length === 1);
      await first.broadcaster.removeMembers({ groupId, userIds: ['alice'], epoch: EPOCH, seq: 2 });
      await second.broadcaster.broadcastMessage(positioned(groupId, 2));
      // An event after it on the same connection has not been overtaken.
      expect([await ask(here, 'leave-group', { groupId }), await ask(there, 'leave-group', { groupId })]).toEqual([
        expect.objectContaining({ ok: true }),
        expect.objectContaining({ ok: true }),
      ]);
      expect(events.map(seqs)).toEqual([[1], [1]]);
    });

    test('everybody is out of a group at every relay before the answer, and stays out at one that starts later', async () => {
      const [first, second, third] = await threeRelays();
      const groupId = newGroup();
      const issuedAt = Math.floor(Date.now() / 1_000) - 60;
      const token = await tokenWith({ sub: 'alice', groups: [groupId], iat: issuedAt, exp: issuedAt + 3_600 });
      await Promise.all([second, third].map(async (relay) => received(relay.client({ token }), 'joined-groups')));
      const count = async (relay: RelayUnderTest) =>
        (await relay.broadcaster.broadcastMessage({ groupId, message: {} })).recipients.connections;
      expect([await count(second), await count(third)]).toEqual([1, 1]);
      await first.broadcaster.removeMembers({ groupId, everyone: true });
      expect([await count(second), await count(third)]).toEqual([0, 0]);
      const [late] = await startRelays(1);
      for (const relay of [second, late as RelayUnderTest]) {
        expect(await received(relay.client({ token }), 'joined-groups')).toEqual({ groups: [] });
      }
    });

    test('everybody is not removed while a relay of the previous version is there; its members are, by name', async () => {
      const [first] = await startRelays(1);
      const listener = new Redis(redis.url);
      try {
        // It follows the changes, and answers what that version answers.
        await admin.zadd('gc:{relays}:leases', Date.now() + 60_000, 'previous');
        await listener.ssubscribe('gc:{relays}:requests');
        listener.on('smessage', (_channel: string, text: string) => {
          const { from, id, kind } = JSON.parse(text) as { from: string; id: number; kind: string };
          if (kind !== 'reached') return;
          const reply = JSON.stringify({ from: 'previous', id, answer: { connections: 0 } });
          void admin.spublish(`gc:{relay:${from}}:replies`, reply);
        });
        const groupId = newGroup();
        await expect(first?.broadcaster.removeMembers({ groupId, everyone: true })).rejects.toMatchObject({
          code: 'BROKER_UNAVAILABLE',
          retryable: true,
        });
        await first?.broadcaster.removeMembers({ groupId, userIds: ['alice'] });
      } finally {
        listener.disconnect();
        await admin.zrem('gc:{relays}:leases', 'previous');
      }
    });

    test('removed, they do not come back with an old token, not even to a relay that starts later (G23)', async () => {
      const [first] = await startRelays(2);
      const groupId = newGroup();
      const issuedAt = Math.floor(Date.now() / 1_000) - 60;
      const token = await tokenWith({ sub: 'alice', groups: [groupId], iat: issuedAt, exp: issuedAt + 3_600 });
      await first?.broadcaster.removeMembers({ groupId, userIds: ['alice'] });
      const [late] = await startRelays(1);
      const socket = late?.client({ token });
      const { groups: named } = await received<{ groups: object[] }>(socket as Socket, 'joined-groups');
      expect(named).toEqual([]);
    });

    test('removed while other relays start, are out at once, of those relays too', async () => {
      const [first] = await startRelays(1);
      const groupId = newGroup();
      // Enough to read to leave time for removals meanwhile.
      const past = admin.pipeline();
      const change = JSON.stringify({ kind: 'remove-members', groupId, userIds: ['nobody'] });
      for (let n = 0; n < 5_000; n += 1) past.xadd('gc:{relays}:changes', '*', 'j', change);
      await past.exec();
      const removed: string[] = [];
      const failed: unknown[] = [];
      let started = false;
      const removing = (async () => {
        while (!started) {
          const userId = `removed${removed.length}`;
          // On a busy machine one of them may be told to come again, as a back end would.
          await until('the removal', async () => {
            await first?.broadcaster.removeMembers({ groupId, userIds: [userId] }).catch((error: GroupcastError) => {
              if (error.retryable) throw error;
              failed.push(error);
            });
            return true;
          });
          removed.push(userId);
        }
      })();
      const others = await startRelays(3).finally(() => {
        started = true;
      });
      await removing;
      expect(failed).toEqual([]);
      expect(removed.length).toBeGreaterThan(2);
      const issuedAt = Math.floor(Date.now() / 1_000) - 60;
      for (const [n, userId] of removed.entries()) {
        const token = await tokenWith({ sub: userId, groups: [groupId], iat: issuedAt, exp: issuedAt + 3_600 });
        const socket = others[n % 3]?.client({ token });
        expect(await received(socket as Socket, 'joined-groups')).toEqual({ groups: [] });
      }
      await admin.del('gc:{relays}:changes');
    });

    test.each([
      ['before the removal', 40],
      ['the middle of the removal', undefined],
      ['right after the removal', 61],
    ])(
      'removed in mid-stream, with Redis down for 2 s from %s: nothing after the removal reaches them, old token or not (G23)',
      async (from, downAtSeq) => {
        const removedAt = 60;
        const all = await threeRelays();
        const groupId = newGroup();
        const issuedAt = Math.floor(Date.now() / 1_000) - 60;
        const token = await tokenWith({ sub: 'mallory', groups: [groupId], iat: issuedAt, exp: issuedAt + 3_600 });
        let begin: () => void = () => undefined;
        const beginning = new Promise<void>((resolve) => {
          begin = resolve;
        });
        const seen: GroupEvent[][] = [];
        let connects = 0;
        const mallory = (relay: RelayUnderTest): Socket => {
          const again = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
          const socket = relay.client({ token }, again);
          socket.on('connect', () => (connects += 1));
          if (downAtSeq === undefined) socket.on('left-groups', begin);
          seen.push(shown(socket, groupId));
          return socket;
        };
        await Promise.all(all.map(async (relay) => received(mallory(relay), 'joined-groups')));
        const alice = await all[1].member('alice', [groupId]);
        const witness = shown(alice, groupId);
        alice.on('new-message', ({ seq }: GroupEvent) => seq === downAtSeq && begin());
        const { recipients } = await all[0].broadcaster.broadcastMessage(positioned(groupId, 1));
        expect(recipients.nodes).toBe(3);
        let refused = 0;
        /** Publishes as the outbox does: in order, each again until it is accepted. */
        const carryOn = async (work: () => Promise<unknown>): Promise<unknown> =>
          until('it to be accepted', async () => {
            try {
              await work();
              return true;
            } catch {
              refused += 1;
              return false;
            }
          });
        const stream = (async () => {
          for (let seq = 2; seq <= 120; seq += 1) {
            if (seq === removedAt) {
              const removal = { groupId, userIds: ['mallory'], epoch: EPOCH, seq };
              await carryOn(async () => all[2].broadcaster.removeMembers(removal));
              all.forEach(mallory);
            }
            await carryOn(async () => all[seq % 3]?.broadcaster.broadcastMessage(positioned(groupId, seq)));
          }
        })();
        await beginning;
        await redis.kill();
        const [downSince, before] = [performance.now(), { refused, connects }];
        all.forEach(mallory);
        await until('2 s without Redis', () => performance.now() - downSince >= 2_000);
        const meanwhile = { refused: refused - before.refused, connects: connects - before.connects };
        all.forEach(mallory);
        await redis.restart();
        await stream;
        all.forEach(mallory);
        await until('the witness', () => witness.length >= 120);
        expect(seqs(witness)).toEqual(numbers(1, 120));
        const last = Math.max(...seen.flatMap(seqs));
        expect(last).toBeGreaterThan(1);
        expect(last).toBeLessThan(removedAt);
        expect(meanwhile.refused).toBeGreaterThan(0);
        expect(meanwhile.connects).toBeGreaterThanOrEqual(3);
        console.log(
          `Redis down for 2 s from ${from}, number ${removedAt} of 120: the publisher refused ${meanwhile.refused} times, the removed member connected ${meanwhile.connects} times, and never shown more than ${last}`,
        );
      },
    );

    test('are disconnected on every relay, with their tokens revoked on all of them', async () => {
      const [first, second, third] = await threeRelays();
      const sockets = [await second.member('mallory'), await third.member('mallory'), await third.member('mallory')];
      const ends = sockets.map(async (socket) => received(socket, 'session-ending'));
      // After the tokens below as well, on a busy machine too.
      const revokeBefore = Math.floor(Date.now() / 1_000) + 60;
      const result = await first.broadcaster.disconnectUsers({
        userIds: ['mallory'],
        code: 'BANNED',
        next: 'stop',
        revokeBefore,
      });
      expect(result.connections).toBe(3);
      await Promise.all(ends);
      for (const relay of [first, second, third]) {
        expect(await refusal(relay.client({ token: await tokenFor('mallory') }))).toBe('TOKEN_REVOKED');
      }
    });

    test('are notified on every relay', async () => {
      const [first, second, third] = await threeRelays();
      const sockets = [await first.member('alice'), await second.member('alice'), await third.member('bob')];
      const heard = sockets.map(async (socket) => received(socket, 'hello'));
      expect(
        await first.broadcaster.notifyUsers({ userIds: ['alice', 'bob'], event: 'hello', data: { n: 1 } }),
      ).toEqual({
        recipients: 3,
      });
      expect(await Promise.all(heard)).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
    });

    test('while a relay that may have them does not answer, the call fails and may be repeated; later its lease has ended', async () => {
      const proxy = await startTcpProxy(redis.port);
      const env = { NODE_LEASE_SECONDS: '3' };
      const [first] = await startRelays(1, env);
      const [cut] = await startRelays(1, { ...env, REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      const groupId = newGroup();
      const member = (await cut?.member('alice', [groupId])) as Socket;
      const order: string[] = [];
      member.on('service-state', ({ live }: { live: boolean }) => order.push(`live ${live}`));
      member.on('left-groups', () => order.push('left'));
      proxy.freeze();
      const remove = async () =>
        first?.broadcaster.removeMembers({ groupId, userIds: ['alice'], epoch: EPOCH, seq: 1 });
      await expect(remove()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', retryable: true });
      // When the others stop counting on it, it has stopped delivering to its members.
      await until(
        'the removal',
        async () => {
          await remove();
          return order.push('removed');
        },
        20_000,
      );
      expect(order).toEqual(['live false', 'removed']);
      // A client that comes meanwhile is not turned away: a stock client tries again by itself.
      const bob = cut?.client({ token: await tokenFor('bob') }) as Socket;
      const [, why] = await new Promise<unknown[]>((resolve) => bob.once('disconnect', (...all) => resolve(all)));
      expect(why).toMatchObject({ context: { reason: expect.stringMatching(/^BROKER_UNAVAILABLE: /) } });
      proxy.thaw();
      await until('the lease', async () => isReady(cut as RelayUnderTest), 15_000);
      await until('it to be live', () => order.at(-1) === 'live true');
      expect(order).toEqual(['live false', 'removed', 'left', 'live true']);
      await cut?.member('bob');
      await proxy.close();
    });
  });

  test('a relay that has just started is counted on, although Redis has lost its memory before the others read of it', async () => {
    // Long enough that nobody renews it during this test.
    const env = { NODE_LEASE_SECONDS: '120' };
    // Leases of relays that could not give theirs back.
    await admin.flushall();
    const proxy = await startTcpProxy(redis.port);
    const [first] = await startRelays(1, env);
    const [young] = await startRelays(1, { ...env, REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    const groupId = newGroup();
    await young?.member('alice', [groupId]);
    proxy.freeze();
    await admin.flushall();
    const remove = async () => first?.broadcaster.removeMembers({ groupId, userIds: ['alice'] });
    await expect(remove()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', retryable: true });
    proxy.thaw();
    await until('the removal', async () => ({ done: await remove() }));
    expect((await young?.broadcaster.broadcastMessage({ groupId, message: {} }))?.recipients.connections).toBe(0);
    await proxy.close();
  });

  test('a monitor at one relay sees all of them', async () => {
    const [first, second] = await threeRelays();
    const groupId = newGroup();
    await second.member('alice', [groupId]);
    const { signServiceToken } = await import('@groupcast/tokens');
    const { TEST_SECRETS } = await import('@groupcast/testing');
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      scopes: ['monitor'],
      subject: 'm',
    });
    const monitor = first.client({ token, type: 'monitor' });
    const nodes = new Map<string, string[]>();
    const kinds: string[] = [];
    monitor.on('monitor-snapshot', ({ node, connections }: { node: string; connections: { userId: string }[] }) => {
      nodes.set(
        node,
        connections.map(({ userId }) => userId),
      );
    });
    monitor.on('monitor-event', ({ kind, node }: { kind: string; node: string }) => kinds.push(`${kind} ${node}`));
    await until('every relay', () => nodes.size === 3);
    expect([...nodes.values()].flat()).toContain('alice');
    await until('an event of another relay', async () => {
      await second.broadcaster.broadcastMessage({ groupId, message: {} });
      return new Set(kinds).size > 0;
    });
    expect(kinds[0]).toMatch(/^broadcast /);
  });

  describe('with Redis away', () => {
    test('local members get what follows directly, the publisher is told to come again, and everybody is complete when it is back (G22)', async () => {
      const [first, second] = await threeRelays();
      const groupId = newGroup();
      const [alice, bob] = [await first.member('alice', [groupId]), await second.member('bob', [groupId])];
      const [atAlice, atBob] = [shown(alice, groupId), shown(bob, groupId)];
      await first.broadcaster.broadcastMessage(positioned(groupId, 1));
      await until('the first', () => atAlice.length === 1 && atBob.length === 1);

      await redis.kill();
      await until('unready', async () => !(await isReady(first)));
      expect(await (await fetch(`${first.internalUrl}/readyz`)).json()).toMatchObject({ failing: ['redis'] });
      await expect(first.broadcaster.broadcastMessage(positioned(groupId, 2))).rejects.toMatchObject({
        code: 'BROKER_UNAVAILABLE',
        retryable: true,
        details: { id: `${groupId}-2` },
      });
      await until('the local copy', () => atAlice.length === 2);
      // An event that does not follow directly is not handed over.
      await expect(first.broadcaster.broadcastMessage(positioned(groupId, 4))).rejects.toMatchObject({
        code: 'BROKER_UNAVAILABLE',
      });
      const late = await first.member('carol', [groupId]);
      const atCarol = shown(late, groupId);

      await redis.restart();
      await until('ready', async () => (await isReady(first)) && (await isReady(second)));
      for (const seq of [2, 3, 4]) {
        await until(`event ${seq}`, async () => first.broadcaster.broadcastMessage(positioned(groupId, seq)));
      }
      await until('everything', () => atAlice.length === 4 && atBob.length === 4);
      expect([seqs(atAlice), seqs(atBob)]).toEqual([numbers(1, 4), numbers(1, 4)]);
      await until('carol', () => atCarol.at(-1)?.seq === 4);
    });

    test('events sent while only one relay had lost it are filled in', async () => {
      const proxy = await startTcpProxy(redis.port);
      const [first] = await startRelays(1);
      const [away] = await startRelays(1, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      const groupId = newGroup();
      const member = (await away?.member('alice', [groupId])) as Socket;
      const events = shown(member, groupId);
      await first?.broadcaster.broadcastMessage(positioned(groupId, 1));
      await until('the first', () => events.length === 1);
      proxy.cut();
      proxy.freeze();
      for (const seq of numbers(2, 30)) await first?.broadcaster.broadcastMessage(positioned(groupId, seq));
      proxy.thaw();
      await until('everything', () => events.length >= 30);
      expect(seqs(events)).toEqual(numbers(1, 30));
      await proxy.close();
    });

    test('a subscription that has gone silent is noticed, and the group is complete again', async () => {
      const [first, second] = await threeRelays();
      const groupId = newGroup();
      const events = shown(await second.member('alice', [groupId]), groupId);
      await first.broadcaster.broadcastMessage(positioned(groupId, 1));
      await until('the first', () => events.length === 1);
      // Redis forgets the subscription, and nobody is told.
      await admin.call('CLIENT', 'NO-EVICT', 'ON');
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      for (const seq of numbers(2, 5)) await first.broadcaster.broadcastMessage(positioned(groupId, seq));
      await until('everything', () => events.length >= 5);
      expect(seqs(events)).toEqual(numbers(1, 5));
    });

    test('a log that has lost everything does not stop the group: a positioned event begins it anew', async () => {
      const [first, second] = await threeRelays();
      const groupId = newGroup();
      const events = shown(await second.member('alice', [groupId]), groupId);
      for (const seq of numbers(1, 3)) await first.broadcaster.broadcastMessage(positioned(groupId, seq));
      await until('the first', () => events.length === 3);
      await admin.flushall();
      for (const seq of numbers(4, 6)) await first.broadcaster.broadcastMessage(positioned(groupId, seq));
      await until('the next', () => events.length === 6);
      expect(seqs(events)).toEqual(numbers(1, 6));
    });
  });

  test('data that is no message of a relay is counted, and disturbs nobody', async () => {
    const [first, second] = await threeRelays();
    const groupId = newGroup();
    const events = shown(await second.member('alice', [groupId]), groupId);
    for (const text of [
      '',
      'nonsense',
      'n\n\n\n{"event":"x","id":"y","groupId":"other","epoch":null,"seq":null}',
      '{}',
    ]) {
      await admin.spublish(`gc:{${groupId}}`, text);
      await admin.spublish('gc:{relays}:requests', text);
    }
    await first.broadcaster.broadcastMessage(positioned(groupId, 1));
    await until('the event', () => events.length === 1);
    expect(await (await fetch(`${second.internalUrl}/metrics`)).text()).toMatch(/malformed_messages_total [1-9]/);
  });
});
