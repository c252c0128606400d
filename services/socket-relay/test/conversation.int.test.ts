import type { Notification, ReadCursor, Receipt, Signal, Typing } from '@groupcast/shared';
import { received, startRedis, TEST_SECRETS, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SET_UPS, type SetUp } from './conversation-set-ups.ts';
import { ask, startRelayUnderTest } from './relay-harness.ts';

const EPOCH = '1-a';
const MAX_SIGNAL_BYTES = 65_536;

/** The payloads of one event, as they come. */
function heard<T>(socket: Socket, event: string): T[] {
  const payloads: T[] = [];
  socket.on(event, (payload: T) => void payloads.push(payload));
  return payloads;
}

describe.each(SET_UPS)('a conversation %s', (_name, start) => {
  let setUp: SetUp;
  let groupId = '';
  let groups = 0;
  let marks = 0;

  beforeAll(async () => {
    setUp = await start();
  });
  beforeEach(() => {
    groups += 1;
    groupId = `talk${groups}`;
    setUp.api.cursorsAnswer = {};
  });
  afterAll(async () => setUp?.close());

  const member = async (node: 'first' | 'last', userId: string, auth?: object): Promise<Socket> =>
    setUp.member(node, `${userId}${groups}`, [groupId], auth);
  const id = (userId: string): string => `${userId}${groups}`;
  /** Resolves once everything that was sent to the user before has come. */
  async function settled(from: Socket, to: Socket, toUserId: string): Promise<void> {
    marks += 1;
    const kind = `mark${marks}`;
    const came = new Promise<void>((resolve) => {
      to.on('signal', (signal: Signal) => signal.kind === kind && resolve());
    });
    expect(await ask(from, 'signal', { groupId, toUserId: id(toUserId), kind, data: null })).toMatchObject({
      ok: true,
    });
    await came;
  }
  /** Both hear of each other’s node. */
  async function linked(one: Socket, oneId: string, other: Socket, otherId: string): Promise<void> {
    for (const [from, toUserId] of [
      [one, otherId],
      [other, oneId],
    ] as const) {
      const signal = { groupId, toUserId: id(toUserId), kind: 'hello', data: null };
      await until('a signal to arrive', async () => {
        const answer = await ask<{ delivered: number }>(from, 'signal', signal);
        return typeof answer === 'object' && answer.delivered > 0;
      });
    }
  }
  const message = async (seq: number, senderId: string, event = 'new-message') =>
    setUp.broadcaster.broadcastMessage({
      groupId,
      event,
      id: `${groupId}-${seq}`,
      epoch: EPOCH,
      seq,
      message: { content: 'x', senderId: id(senderId) },
    });

  test('the others are shown that a member types, and when it stops or is gone; the member itself is not', async () => {
    const [alice, alices] = [await member('first', 'alice'), await member('last', 'alice')];
    const [bob, carol] = [await member('last', 'bob'), await member('first', 'carol')];
    await linked(alice, 'alice', bob, 'bob');
    const [atBob, atCarol] = [heard<Typing>(bob, 'typing'), heard<Typing>(carol, 'typing')];
    const atAlice = [alice, alices].map((socket) => heard<Typing>(socket, 'typing'));
    const typing = (isTyping: boolean): Typing => ({ groupId, userId: id('alice'), isTyping });
    expect(await ask(alice, 'typing', { groupId, isTyping: true })).toEqual({ ok: true });
    await until('alice to type', () => atBob.length + atCarol.length === 2);
    // Again only prolongs it.
    await ask(alice, 'typing', { groupId, isTyping: true });
    expect(await ask(alice, 'typing', { groupId, isTyping: false })).toEqual({ ok: true });
    await until('alice to stop', () => atBob.length + atCarol.length === 4);
    expect([...atBob, ...atCarol]).toEqual([typing(true), typing(false), typing(true), typing(false)]);
    const dave = await member('first', 'dave');
    for (const socket of [alices, carol, dave]) await ask(socket, 'typing', { groupId, isTyping: true });
    await until('three to type', () => atBob.length === 5);
    await ask(alices, 'leave-group', { groupId });
    await setUp.broadcaster.removeMembers({ groupId, userIds: [id('carol')] });
    dave.close();
    await until('three to have stopped', () => atBob.length === 8);
    const stopped = atBob.slice(5).filter(({ isTyping }) => !isTyping);
    expect(stopped.map(({ userId }) => userId).toSorted()).toEqual(['alice', 'carol', 'dave'].map(id));
    expect(atAlice.flat().filter(({ userId }) => userId === id('alice'))).toEqual([]);
    const stranger = await setUp.member('first', 'stranger', []);
    expect(await ask(stranger, 'typing', { groupId, isTyping: true })).toBe('NOT_A_MEMBER');
    expect(await ask(stranger, 'view-group', { groupId })).toBe('NOT_A_MEMBER');
    expect(await ask(bob, 'typing', { groupId, isTyping: 'yes' })).toBe('INVALID_PAYLOAD');
  });

  test('members who asked for it are notified of new messages of others in groups that they do not view', async () => {
    const auth = { notifications: true };
    const [bob, viewer] = [await member('last', 'bob', auth), await member('last', 'bob', auth)];
    const [alice, quiet] = [await member('first', 'alice', auth), await member('last', 'carol')];
    const at = [bob, viewer, alice, quiet].map((socket) => heard<Notification>(socket, 'notification'));
    const live = heard<{ seq: number }>(bob, 'new-message');
    expect(await ask(viewer, 'view-group', { groupId })).toEqual({ ok: true });
    await message(1, 'alice');
    await message(2, 'alice', 'message-updated');
    await message(3, 'bob');
    await ask(viewer, 'view-group', { groupId: null });
    await until('the messages', () => live.length === 2);
    await message(4, 'alice');
    await until('the last notification', () => at[1]?.length === 1);
    await until('the last notification', () => at[0]?.length === 2 && at[2]?.length === 1);
    const seqs = at.map((those) => those.map(({ message: { seq } }) => seq));
    expect(seqs).toEqual([[1, 4], [4], [3], []]);
    const shown = { id: `${groupId}-1`, groupId, epoch: EPOCH, seq: 1, content: 'x', senderId: id('alice') };
    expect(at[0]?.[0]).toEqual({ kind: 'message', groupId, message: shown });

    await setUp.broadcaster.removeMembers({ groupId, userIds: [id('bob')] });
    await message(5, 'carol');
    await until('alice to be notified', () => at[2]?.length === 2);
    expect(at[0]).toHaveLength(2);
  });

  test('a signal reaches the connections of a member, on all nodes, and only between members (G68)', async () => {
    const alice = await member('first', 'alice');
    await member('last', 'alice');
    const bobs = [await member('first', 'bob'), await member('last', 'bob'), await member('last', 'bob')];
    const carol = await member('last', 'carol');
    const at = [...bobs, carol].map((socket) => heard<Signal>(socket, 'signal'));
    const offer = { groupId, toUserId: id('bob'), kind: 'offer', data: { sdp: 'x', n: [1, null] } };
    await until('all of bob', async () => {
      const answer = await ask<{ delivered: number }>(alice, 'signal', { ...offer, kind: 'hello' });
      return (answer as { delivered: number }).delivered === 3;
    });
    for (const those of at) those.length = 0;
    expect(await ask(alice, 'signal', offer)).toEqual({ ok: true, delivered: 3 });
    const { toUserId: _, ...shown } = offer;
    await until('all of them', () => at.slice(0, 3).every((those) => those.length === 1));
    expect(at.slice(0, 3).flat()).toEqual(Array.from({ length: 3 }, () => ({ ...shown, fromUserId: id('alice') })));
    expect(at[3]).toEqual([]);
    expect(await ask(alice, 'signal', { ...offer, toUserId: id('nobody') })).toEqual({ ok: true, delivered: 0 });
    // To oneself it reaches the other connections.
    expect(await ask(alice, 'signal', { ...offer, toUserId: id('alice') })).toEqual({ ok: true, delivered: 1 });
    const large = (bytes: number) => ({ ...offer, data: 'x'.repeat(bytes - 2) });
    expect(await ask(alice, 'signal', large(MAX_SIGNAL_BYTES))).toEqual({ ok: true, delivered: 3 });
    expect(await ask(alice, 'signal', large(MAX_SIGNAL_BYTES + 1))).toBe('PAYLOAD_TOO_LARGE');
    const stranger = await setUp.member('first', 'stranger', []);
    expect(await ask(stranger, 'signal', offer)).toBe('NOT_A_MEMBER');
    await setUp.broadcaster.removeMembers({ groupId, userIds: [id('bob')] });
    expect(await ask(alice, 'signal', offer)).toEqual({ ok: true, delivered: 0 });
    expect(await ask(bobs[0] as Socket, 'signal', { ...offer, toUserId: id('alice') })).toBe('NOT_A_MEMBER');
  });

  test('a read is shown to the user’s other connections at once, and to nobody else', async () => {
    const [one, other] = [await member('first', 'alice'), await member('last', 'alice')];
    const bob = await member('last', 'bob');
    await linked(one, 'alice', bob, 'bob');
    const at = [one, other, bob].map((socket) => heard<ReadCursor>(socket, 'read-cursor'));
    const came = received(one, 'new-message');
    await message(8, 'bob');
    await came;
    setUp.api.mode = 'fail';
    expect(await ask(one, 'mark-read', { groupId, seq: 7 })).toEqual({ ok: true });
    await until('the other window', () => at[1]?.length === 1);
    setUp.api.mode = 'answer';
    await ask(one, 'update-cursors', { cursors: { [groupId]: { received: 9, read: 8 } } });
    await until('the other window', () => at[1]?.length === 2);
    await settled(other, bob, 'bob');
    expect(at).toEqual([
      [],
      [
        { groupId, readSeq: 7 },
        { groupId, readSeq: 8 },
      ],
      [],
    ]);
  });

  test('a read beyond where the relay knows that the group stands is shown as the API has stored it', async () => {
    const [one, other] = [await member('first', 'alice'), await member('last', 'alice')];
    const bob = await member('last', 'bob');
    await linked(one, 'alice', bob, 'bob');
    const at = [one, other].map((socket) => heard<ReadCursor>(socket, 'read-cursor'));
    setUp.api.cursorsAnswer = { groups: { [groupId]: { memberCount: 2, seq: 8 } } };
    await ask(one, 'mark-read', { groupId, seq: 900 });
    await until('the other window', () => at[1]?.length === 1);
    setUp.api.cursorsAnswer = { groups: { [groupId]: { memberCount: 1, seq: 8, notMembers: [id('alice')] } } };
    await ask(one, 'mark-read', { groupId, seq: 901 });
    await until('the report', () => setUp.api.cursors.some(({ read }) => read === 901));
    await settled(bob, other, 'alice');
    expect(at).toEqual([[], [{ groupId, readSeq: 8 }]]);
  });

  test('members are shown how far others are once the API has stored it, merged, and not after they left (G68)', async () => {
    const [alice, bob] = [await member('first', 'alice'), await member('last', 'bob')];
    const carol = await member('last', 'carol');
    await linked(alice, 'alice', bob, 'bob');
    const at = [alice, bob, carol].map((socket) => heard<Receipt>(socket, 'receipt'));
    await setUp.broadcaster.removeMembers({ groupId, userIds: [id('carol')] });
    setUp.api.mode = 'fail';
    for (const seq of [1, 2, 3]) await ask(bob, 'mark-delivered', { groupId, seq });
    await ask(bob, 'mark-read', { groupId, seq: 2 });
    await ask(alice, 'update-cursors', { cursors: { [groupId]: { applied: 5 } } });
    await settled(alice, bob, 'bob');
    expect(at.flat()).toEqual([]);
    setUp.api.mode = 'answer';
    await until('the receipts', () => at[0]?.length === 1 && at[1]?.length === 1);
    expect(at[0]).toEqual([{ groupId, users: { [id('bob')]: { received: 3, read: 2 } } }]);
    await ask(bob, 'mark-read', { groupId, seq: 3 });
    await until('the next receipt', () => at[0]?.length === 2);
    expect(at[0]?.[1]).toEqual({ groupId, users: { [id('bob')]: { read: 3 } } });
    // Nobody is shown to have read what was not said yet, such as by a client that counts as before the group was started over.
    setUp.api.cursorsAnswer = { groups: { [groupId]: { memberCount: 3, seq: 7 } } };
    await ask(bob, 'mark-read', { groupId, seq: Number.MAX_SAFE_INTEGER });
    await until('the last receipt', () => at[0]?.length === 3);
    expect(at[0]?.[2]).toEqual({ groupId, users: { [id('bob')]: { read: 7 } } });
    expect(at[2]).toEqual([]);
  });

  test('in a group of which the API says that it is large nobody is named, and its senders get numbers', async () => {
    const [alice, bob] = [await member('first', 'alice'), await member('last', 'bob')];
    await linked(alice, 'alice', bob, 'bob');
    const counts = { seq: 4, received: 120, read: 80 };
    setUp.api.cursorsAnswer = {
      groups: { [groupId]: { memberCount: 101, counts: [{ userId: id('alice'), ...counts }] } },
    };
    const [atAlice, atBob] = [heard<Receipt>(alice, 'receipt'), heard<Receipt>(bob, 'receipt')];
    await ask(bob, 'mark-read', { groupId, seq: 4 });
    await until('the numbers', () => atAlice.length === 1);
    await settled(alice, bob, 'bob');
    expect([atAlice, atBob]).toEqual([[{ groupId, counts, memberCount: 101 }], []]);
  });

  test('a back end shows what was read over HTTP: to the group, and on all connections of the user', async () => {
    const [alice, bob] = [await member('first', 'alice'), await member('last', 'bob')];
    const bobs = await member('first', 'bob');
    await linked(alice, 'alice', bob, 'bob');
    const reads = [bob, bobs, alice].map((socket) => heard<ReadCursor>(socket, 'read-cursor'));
    const receipts = heard<Receipt>(alice, 'receipt');
    await setUp.broadcaster.updateCursors({ cursors: [{ userId: id('bob'), groupId, read: 3 }] });
    await until('the receipt', () => receipts.length === 1);
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      scopes: ['broadcast'],
      subject: 'b',
    });
    const post = async (body: object): Promise<unknown> =>
      (
        await fetch(`${setUp.internalUrl}/v1/cursors`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).json();
    expect(await post({ cursors: [{ userId: id('bob'), groupId, received: 5, read: 4 }] })).toEqual({ ok: true });
    await until('the next receipt', () => receipts.length === 2);
    expect(receipts).toEqual([
      { groupId, users: { [id('bob')]: { read: 3 } } },
      { groupId, users: { [id('bob')]: { received: 5, read: 4 } } },
    ]);
    const both = [3, 4].map((readSeq) => ({ groupId, readSeq }));
    await until('the reads', () => reads[0]?.length === 2 && reads[1]?.length === 2);
    expect(reads).toEqual([both, both, []]);
    expect(await post({ cursors: [{ userId: 'x' }] })).toMatchObject({ error: { code: 'INVALID_PAYLOAD' } });
  });

  test('presence is told of many groups at once, of each by itself', async () => {
    const other = `${groupId}-b`;
    const alice = await setUp.member('first', id('alice'), [groupId, other]);
    const bob = await member('last', 'bob');
    const groupIds = [groupId, other, 'foreign', other];
    const answer = async (): Promise<object> => (await ask(alice, 'get-presence', { groupIds })) as object;
    const users = (...ids: string[]) => ({
      users: expect.arrayContaining(ids.map((each) => ({ userId: id(each), connections: 1 }))),
      numUsers: ids.length,
      numConnections: ids.length,
    });
    const all = { [groupId]: users('alice', 'bob'), [other]: users('alice') };
    const foreign = { error: expect.objectContaining({ code: 'NOT_A_MEMBER' }) };
    await until('both', async () => {
      expect(await answer()).toEqual({ ok: true, groups: { ...all, foreign } });
      return true;
    });
    expect(await ask(bob, 'get-presence', { groupIds: Array.from({ length: 101 }, (_, n) => `g${n}`) })).toBe(
      'INVALID_PAYLOAD',
    );
    expect(await ask(bob, 'get-presence', { groupIds: [] })).toBe('INVALID_PAYLOAD');
  });

  test('a user who hides presence is counted nowhere, may type all the same, and is removed with everybody', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const claims = { sub: id('ghost'), groups: [groupId], iat: now, exp: now + 600 };
    const token = await tokenWith({ ...claims, presence: false });
    const alice = await member('first', 'alice');
    const [ghost, bob] = [await member('last', 'ghost', { token }), await member('last', 'bob')];
    const [typing, changes] = [heard<Typing>(alice, 'typing'), heard<{ online: string[] }>(alice, 'presence')];
    await linked(alice, 'alice', ghost, 'ghost');
    const presence = async (): Promise<string[]> => {
      const answer = await ask<{ users: { userId: string }[] }>(alice, 'get-presence', { groupId });
      return (answer as { users: { userId: string }[] }).users.map(({ userId }) => userId).toSorted();
    };
    await until('bob', async () => (await presence()).includes(id('bob')));
    expect(await presence()).toEqual([id('alice'), id('bob')]);
    expect(await ask(ghost, 'typing', { groupId, isTyping: true })).toEqual({ ok: true });
    await until('the ghost to type', () => typing.length === 1);
    // A new token may say otherwise, and a third one take it back.
    expect(await ask(ghost, 'refresh-token', { token: await tokenWith(claims) })).toMatchObject({ ok: true });
    await until('the ghost to be seen', async () => (await presence()).includes(id('ghost')));
    await ask(ghost, 'refresh-token', { token });
    await until('the ghost to be hidden', async () => !(await presence()).includes(id('ghost')));
    expect(changes.flatMap(({ online }) => online)).toContain(id('ghost'));
    const left = [ghost, bob].map(async (socket) => received(socket, 'left-groups'));
    await setUp.broadcaster.removeMembers({ groupId, everyone: true });
    expect(await Promise.all(left)).toHaveLength(2);
  });
});

describe('two relays whose connections for transient events are killed, silent and fed with garbage', () => {
  test('bring every event with a position once and in order, and transient ones again within 5 s (G66)', async () => {
    const redis = await startRedis();
    const env = { REDIS_URL: redis.url, NODE_LEASE_SECONDS: '3' };
    const [one, other] = [await startRelayUnderTest(env), await startRelayUnderTest(env)];
    const groupIds = ['g1', 'g2', 'g3'];
    const [alice, bob] = [await one.member('alice', groupIds), await other.member('bob', groupIds)];
    const at = [alice, bob].map((socket) => heard<{ groupId: string; seq: number }>(socket, 'new-message'));
    const typing = heard<Typing>(bob, 'typing');
    const perGroup = 40;
    let sending = true;

    async function harm(): Promise<number> {
      let killed = 0;
      while (sending) {
        const clients = redis.ask('client', 'list').split('\n');
        for (const line of clients.filter((each) => each.includes('name=groupcast-transient'))) {
          redis.ask('client', 'kill', 'id', /^id=(\d+)/.exec(line)?.[1] ?? '');
          killed += 1;
        }
        for (const groupId of groupIds) redis.ask('spublish', `gc:transient#/#group-${groupId}#`, 'garbage');
        redis.pause();
        for (const groupId of groupIds) alice.emit('typing', { groupId, isTyping: true });
        await ask(alice, 'view-group', { groupId: null });
        redis.resume();
        await ask(bob, 'view-group', { groupId: null });
      }
      return killed;
    }

    const harming = harm();
    await Promise.all(
      groupIds.map(async (groupId) => {
        for (let seq = 1; seq <= perGroup; seq += 1) {
          const message = { content: 'x', senderId: 'alice' };
          await one.broadcaster.broadcastMessage({ groupId, id: `${groupId}-${seq}`, epoch: EPOCH, seq, message });
        }
      }),
    );
    sending = false;
    const killed = await harming;
    await until('all messages', () => at.every((those) => those.length >= groupIds.length * perGroup));
    for (const those of at) {
      for (const groupId of groupIds) {
        const seqs = those.filter((event) => event.groupId === groupId).map(({ seq }) => seq);
        expect(seqs).toEqual(Array.from({ length: perGroup }, (_, n) => n + 1));
      }
    }
    expect(killed).toBeGreaterThan(0);
    const before = typing.length;
    await until(
      'typing to be shown again',
      async () => {
        await ask(alice, 'typing', { groupId: 'g1', isTyping: true });
        await ask(alice, 'typing', { groupId: 'g1', isTyping: false });
        return typing.length > before;
      },
      5_000,
    );
    console.info(`${at[1]?.length} of ${groupIds.length * perGroup} messages, while ${killed} connections were killed`);
    await Promise.all([one.close(), other.close()]);
    await redis.stop();
  });
});
