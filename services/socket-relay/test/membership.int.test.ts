import { freePort, received, TEST_SECRETS, tokenFor, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const now = (): number => Math.floor(Date.now() / 1_000);

/** The events that a monitor of the relay sees from now on. */
async function watch(
  relay: RelayUnderTest,
): Promise<{ seen: { code?: string; userId?: string; groupId?: string; message?: string }[] }> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const token = await signServiceToken({ secret, subject: 'm', scopes: ['monitor'] });
  const monitor = relay.client({ token, type: 'monitor' });
  const seen: { code?: string; userId?: string; groupId?: string; message?: string }[] = [];
  monitor.on('monitor-event', (event: { code?: string }) => seen.push(event));
  await received(monitor, 'monitor-snapshot');
  return { seen };
}

describe('membership', () => {
  let api: ApiStub;
  let relay: RelayUnderTest;
  beforeEach(async () => {
    api = await startApiStub();
    relay = await startRelayUnderTest({ API_URL: api.url });
  });
  afterEach(async () => {
    await relay.close();
    await api.close();
  });

  const broadcast = async (groupId: string, text: string) =>
    relay.broadcaster.broadcastMessage({ groupId, message: { text } });

  test('a claim of a token that is younger than the relay for certain is believed without asking', async () => {
    const token = await tokenWith({ sub: 'alice', groups: ['1', '2'], iat: now() + 10, exp: now() + 600 });
    expect(await received(relay.client({ token }), 'joined-groups')).toMatchObject({
      groups: [{ groupId: '1' }, { groupId: '2' }],
    });
    expect(api.queries).toEqual([]);
  });

  test('a join of a group the token does not name is the API’s to decide', async () => {
    api.members.add('alice 5');
    const alice = await relay.member('alice');
    expect(await ask(alice, 'join-group', { groupId: 5 })).toMatchObject({
      groupId: '5',
      position: null,
      recovered: false,
    });
    expect(await ask(alice, 'join-group', { groupId: 6 })).toBe('NOT_A_MEMBER');
    expect((await broadcast('5', 'x')).recipients).toEqual({ connections: 1, nodes: 1 });
  });

  test('a join of a group that the connection has under another spelling says which', async () => {
    api.members.add('alice 7');
    const { seen } = await watch(relay);
    const alice = await relay.member('alice', ['7']);
    for (const groupId of ['07', 'conversation:7']) {
      const hint = 'this connection is in group "7"';
      const answer = (await alice.emitWithAck('join-group', { groupId })) as { error: object };
      const message = `unable to join group "${groupId}"; you are not a member of it; ${hint}`;
      expect(answer.error).toEqual({ code: 'NOT_A_MEMBER', message, retryable: false, details: { hint } });
      await until('the monitor', () => seen.some((event) => event.message?.includes(message)));
      expect(relay.logged.filter(({ msg }) => msg.includes(message))).toHaveLength(1);
    }
    const other = (await alice.emitWithAck('join-group', { groupId: '8' })) as { error: object };
    expect(other.error).not.toHaveProperty('details');
  });

  test('while the API fails or is silent, a join is refused as retryable after 3 s at most', async () => {
    const alice = await relay.member('alice');
    api.mode = 'fail';
    expect(await ask(alice, 'join-group', { groupId: '5' })).toBe('API_UNAVAILABLE');
    api.mode = 'hang';
    expect(await ask(alice, 'join-group', { groupId: '5' })).toBe('API_UNAVAILABLE');
  });

  test('questions to the API of the same moment travel together', async () => {
    for (let user = 0; user < 20; user += 1) api.members.add(`u${user} 5`);
    const members = await Promise.all(Array.from({ length: 20 }, (_, user) => relay.member(`u${user}`)));
    const answers = await Promise.all(members.map((member) => ask(member, 'join-group', { groupId: '5' })));
    for (const answer of answers) expect(answer).toMatchObject({ groupId: '5' });
    expect(api.queries.length).toBeLessThan(20);
  });

  test('an added member’s live connections are in before the call is answered', async () => {
    const [one, two] = [await relay.member('alice'), await relay.member('alice')];
    const joined = Promise.all([received(one, 'joined-groups'), received(two, 'joined-groups')]);
    await relay.broadcaster.addMembers({ groupId: '1', userIds: ['alice', 'nobody'] });
    expect((await broadcast('1', 'x')).recipients.connections).toBe(2);
    expect(await joined).toEqual([
      { groups: [{ groupId: '1', position: null }] },
      { groups: [{ groupId: '1', position: null }] },
    ]);
  });

  test('a removed member hears why, receives nothing more, and an old token does not bring it back (G8)', async () => {
    api.members.add('alice 1').add('alice 2');
    const alice = await relay.member('alice', ['1', '2']);
    const heard: unknown[] = [];
    alice.on('new-message', (message) => heard.push(message));
    const left = received(alice, 'left-groups');
    api.members.delete('alice 1');
    await relay.broadcaster.removeMembers({ groupId: '1', userIds: ['alice'] });
    expect(await left).toEqual({ groups: ['1'], reason: 'member-removed' });
    expect((await broadcast('1', 'secret')).warnings).toEqual(['NO_RECIPIENTS']);
    expect(await ask(alice, 'join-group', { groupId: '1' })).toBe('NOT_A_MEMBER');

    const token = await tokenWith({ sub: 'alice', groups: ['1', '2'], iat: now() - 5, exp: now() + 600 });
    const again = relay.client({ token });
    expect(await received(again, 'joined-groups')).toMatchObject({ groups: [{ groupId: '2' }] });
    expect((await broadcast('1', 'secret')).recipients.connections).toBe(0);
    expect(heard).toEqual([]);

    await relay.broadcaster.addMembers({ groupId: '1', userIds: ['alice'] });
    expect((await broadcast('1', 'welcome back')).recipients.connections).toBe(2);
  });

  test('everybody is removed with one change: connected members are out, and no older token brings anybody back', async () => {
    api.members.add('alice 1').add('bob 1').add('carol 1');
    const members = [await relay.member('alice', ['1']), await relay.member('alice', ['1']), await relay.member('bob')];
    expect(await ask(members[2] as Socket, 'join-group', { groupId: '1' })).toMatchObject({ ok: true });
    const old = await tokenWith({ sub: 'carol', groups: ['1'], iat: now(), exp: now() + 600 });
    const left = members.map(async (member) => received(member, 'left-groups'));
    api.members.clear();
    await relay.broadcaster.removeMembers({ groupId: '1', everyone: true, epoch: '1-a', seq: 5 });
    expect(await Promise.all(left)).toEqual(members.map(() => ({ groups: ['1'], reason: 'member-removed' })));
    expect((await broadcast('1', 'secret')).warnings).toEqual(['NO_RECIPIENTS']);
    const carol = relay.client({ token: old });
    expect(await received(carol, 'joined-groups')).toEqual({ groups: [] });
    expect(await ask(carol, 'join-group', { groupId: '1' })).toBe('NOT_A_MEMBER');

    // A user added again is in, with the same token; a change from before the removal that comes late takes nobody in.
    const at = (seq: number) => ({ groupId: '1', userIds: ['carol'], epoch: '1-a', seq });
    await relay.broadcaster.addMembers(at(4));
    expect((await broadcast('1', 'secret')).recipients.connections).toBe(0);
    await relay.broadcaster.addMembers(at(6));
    await relay.broadcaster.removeMembers({ groupId: '1', everyone: true, epoch: '1-a', seq: 5 });
    expect((await broadcast('1', 'welcome back')).recipients.connections).toBe(1);
    expect(await received(relay.client({ token: old }), 'joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
  });

  test('a user whose join is under way while everybody is removed does not get in', async () => {
    api.members.add('alice 5').add('bob 5');
    const alice = await relay.member('alice');
    api.mode = 'hang';
    const token = await tokenWith({ sub: 'bob', groups: ['5'], iat: now() - 100, exp: now() + 600 });
    const bob = relay.client({ token });
    const joined = received(bob, 'joined-groups');
    const answer = ask(alice, 'join-group', { groupId: '5' });
    await until('both questions', () => api.queries.flatMap(({ users }) => users).length === 2);
    await relay.broadcaster.removeMembers({ groupId: '5', everyone: true });
    api.release();
    expect([await answer, await joined]).toEqual(['NOT_A_MEMBER', { groups: [] }]);
    expect((await broadcast('5', 'x')).recipients.connections).toBe(0);
  });

  test('a removal names users or everybody, by HTTP too, and says so otherwise', async () => {
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      scopes: ['broadcast'],
      subject: 'test',
    });
    const post = async (body: object): Promise<unknown> => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const url = `${relay.internalUrl}/v1/members/remove`;
      const answer = (await (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()) as {
        ok?: true;
        error?: { code: string };
      };
      return answer.error?.code ?? answer;
    };
    api.members.add('alice 1');
    await relay.member('alice', ['1']);
    expect(await post({ groupId: '1', everyone: true, userIds: ['alice'] })).toBe('INVALID_PAYLOAD');
    expect(await post({ groupId: '1', everyone: false })).toBe('INVALID_PAYLOAD');
    expect(await post({ groupId: '1' })).toBe('INVALID_PAYLOAD');
    expect((await broadcast('1', 'x')).recipients.connections).toBe(1);
    expect(await post({ groupId: '1', everyone: true })).toEqual({ ok: true });
    expect((await broadcast('1', 'x')).recipients.connections).toBe(0);
  });

  test('a token from before the removal does not bring it back, although its maker’s clock is ahead', async () => {
    await relay.broadcaster.removeMembers({ groupId: '1', userIds: ['alice'] });
    const token = await tokenWith({ sub: 'alice', groups: ['1'], iat: now() + 4, exp: now() + 600 });
    expect(await received(relay.client({ token }), 'joined-groups')).toEqual({ groups: [] });
    // A user added again comes in at once, with any token.
    await relay.broadcaster.addMembers({ groupId: '1', userIds: ['alice'] });
    expect(await received(relay.client({ token }), 'joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
  });

  test.each([
    ['', -100],
    [', made by a clock that is ahead,', 1],
    [' as far as anybody knows, since it has no iat,', undefined],
  ])('a token from before this relay started%s is confirmed with the API', async (_which, ahead) => {
    api.members.add('alice 1');
    const iat = ahead === undefined ? {} : { iat: now() + ahead };
    const token = await tokenWith({ sub: 'alice', groups: ['1', '2'], exp: now() + 600, ...iat });
    const alice = relay.client({ token });
    expect(await received(alice, 'joined-groups')).toEqual({ groups: [{ groupId: '1', position: null }] });
    expect(api.queries).toEqual([{ users: [{ userId: 'alice', groupIds: ['1', '2'] }] }]);
  });

  test('… and while the API is away it connects, is told what is undecided, and joins by itself when the API is back', async () => {
    api.mode = 'fail';
    api.members.add('alice 1');
    const { seen } = await watch(relay);
    const token = await tokenWith({ sub: 'alice', groups: ['1', '2'], iat: now() - 100, exp: now() + 600 });
    const alice = relay.client({ token });
    expect(await received(alice, 'joined-groups')).toEqual({ groups: [], undecided: ['1', '2'] });
    const answer = await broadcast('1', 'x');
    expect([answer.recipients.connections, answer.warnings]).toEqual([0, ['NO_RECIPIENTS', 'UNDECIDED_MEMBERS']]);
    // Log and monitor say what to do, and which user it is about.
    const line = relay.logged.find(({ msg }) => msg.startsWith(`API_URL (${api.url}) does not answer`));
    expect(line).toMatchObject({ userId: 'alice', groups: ['1', '2'], msg: expect.stringContaining('Start the API') });
    await until('the monitor', () => seen.filter(({ code }) => code === 'UNDECIDED_MEMBERS').length === 2);
    expect(seen).toContainEqual(expect.objectContaining({ code: 'UNDECIDED_MEMBERS', userId: 'alice', groupId: '1' }));
    const joined = received(alice, 'joined-groups', 20_000);
    api.mode = 'answer';
    expect(await joined).toEqual({ groups: [{ groupId: '1', position: expect.anything() }], undecided: [] });
    expect(await broadcast('1', 'y')).toMatchObject({ recipients: { connections: 1 }, warnings: [] });
    // The other one was denied, which is said as well.
    expect(seen).toContainEqual(expect.objectContaining({ code: 'NOT_A_MEMBER', userId: 'alice', groupId: '2' }));
    expect(relay.logged).toContainEqual(
      expect.objectContaining({ code: 'NOT_A_MEMBER', userId: 'alice', groupId: '2' }),
    );
  });

  test('of groups that are all denied in the end, a client hears that nothing is undecided any more', async () => {
    api.mode = 'fail';
    const old = { sub: 'bob', iat: now() - 100, exp: now() + 600 };
    const bob = relay.client({ token: await tokenWith({ ...old, groups: ['3'] }) });
    expect(await received(bob, 'joined-groups')).toEqual({ groups: [], undecided: ['3'] });
    // New groups of a new token are undecided, and groups that it does not name are not waited for.
    const refreshed = received(bob, 'joined-groups');
    const token = await tokenWith({ ...old, groups: ['4'] });
    expect(await ask(bob, 'refresh-token', { token })).toMatchObject({ groups: [], undecided: ['4'] });
    expect(await refreshed).toEqual({ groups: [], undecided: ['4'] });
    expect((await broadcast('3', 'x')).warnings).toEqual(['NO_RECIPIENTS']);
    expect((await broadcast('4', 'x')).warnings).toEqual(['NO_RECIPIENTS', 'UNDECIDED_MEMBERS']);
    const settled = received(bob, 'joined-groups', 20_000);
    api.mode = 'answer';
    expect(await settled).toEqual({ groups: [], undecided: [] });
    expect((await broadcast('4', 'y')).warnings).toEqual(['NO_RECIPIENTS']);
  });

  test('… and one that leaves meanwhile is waited for no longer', async () => {
    api.mode = 'fail';
    const token = await tokenWith({ sub: 'bob', groups: ['3'], iat: now() - 100, exp: now() + 600 });
    const bob = relay.client({ token });
    await received(bob, 'joined-groups');
    expect((await broadcast('3', 'x')).warnings).toContain('UNDECIDED_MEMBERS');
    bob.close();
    await until('it to be forgotten', async () => !(await broadcast('3', 'x')).warnings.includes('UNDECIDED_MEMBERS'));
  });

  test('a removal that happens while the API is being asked wins over its answer', async () => {
    api.members.add('alice 5');
    const alice = await relay.member('alice');
    api.mode = 'hang';
    const answer = ask(alice, 'join-group', { groupId: '5' });
    await until('the question', () => api.queries.length === 1);
    await relay.broadcaster.removeMembers({ groupId: '5', userIds: ['alice'] });
    api.release();
    expect(await answer).toBe('NOT_A_MEMBER');
    expect((await broadcast('5', 'x')).recipients.connections).toBe(0);
  });

  test('a leave takes back a join that is still being decided', async () => {
    api.members.add('alice 5');
    const alice = await relay.member('alice');
    api.mode = 'hang';
    const joined = ask(alice, 'join-group', { groupId: '5' });
    const again = ask(alice, 'join-group', { groupId: '5' });
    await until('the question', () => api.queries.length === 1);
    expect(await ask(alice, 'leave-group', { groupId: '5' })).toMatchObject({ ok: true });
    api.release();
    expect([await joined, await again]).toEqual(['CONFLICT', 'CONFLICT']);
    expect((await broadcast('5', 'x')).recipients.connections).toBe(0);
    expect(await ask(alice, 'join-group', { groupId: '5' })).toMatchObject({ ok: true });
  });

  test('disconnecting a user ends every session, and revokes older tokens (G13)', async () => {
    const alice = await relay.member('alice', ['1']);
    const old = await tokenWith({ sub: 'alice', iat: now() - 10, exp: now() + 600 });
    const [ending, closed] = [received(alice, 'session-ending'), received(alice, 'disconnect')];
    const revokeBefore = now() - 5;
    const input = { userIds: ['alice'], code: 'BANNED', message: 'by an admin', revokeBefore };
    expect(await relay.broadcaster.disconnectUsers(input)).toEqual({ connections: 1 });
    expect(await ending).toEqual({ code: 'BANNED', message: 'by an admin', next: 'stop', retryAfterMs: 0 });
    expect(await closed).toBe('io server disconnect');
    const error = await received<Error & { data: { code: string } }>(relay.client({ token: old }), 'connect_error');
    expect(error.data.code).toBe('TOKEN_REVOKED');
    await relay.member('alice');
  });

  test('codes of a back end’s own count as one among the disconnects, and those of the relay by name', async () => {
    const codes = ['BANNED', 'PAID_TOO_LATE', 'TOKEN_REVOKED', 'CONSTRUCTOR'];
    for (const [n, code] of codes.entries()) {
      const closed = received(await relay.member(`u${n}`), 'disconnect');
      await relay.broadcaster.disconnectUsers({ userIds: [`u${n}`], code });
      await closed;
    }
    (await relay.member('leaves')).disconnect();
    const counted = async (): Promise<Record<string, string>> => {
      const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
      const lines = text.matchAll(/^groupcast_relay_disconnects_total\{type="user",reason="(.*)"\} (\d+)$/gm);
      return Object.fromEntries([...lines].map(([, reason, count]) => [reason, count]));
    };
    const all = { other: '3', TOKEN_REVOKED: '1', 'client namespace disconnect': '1' };
    await until('all of them', async () => Object.values(await counted()).reduce((a, b) => a + Number(b), 0) === 5);
    expect(await counted()).toEqual(all);
  });

  test('a token without an iat brings back nobody who was removed or whose tokens were revoked, with an API or without', async () => {
    const alone = await startRelayUnderTest();
    try {
      for (const each of [relay, alone]) {
        const without = async (sub: string) => tokenWith({ sub, groups: ['1'], exp: now() + 600 });
        const [removed, revoked] = [await without('removed'), await without('revoked')];
        const in1 = { groups: [{ groupId: '1', position: null }] };
        for (const user of ['removed', 'revoked', 'other']) api.members.add(`${user} 1`);
        for (const token of [removed, revoked]) {
          expect(await received(each.client({ token }), 'joined-groups')).toEqual(in1);
        }
        api.members.delete('removed 1');
        await each.broadcaster.removeMembers({ groupId: '1', userIds: ['removed'] });
        expect(await received(each.client({ token: removed }), 'joined-groups')).toEqual({ groups: [] });
        await each.broadcaster.disconnectUsers({ userIds: ['revoked'], code: 'BANNED', revokeBefore: now() });
        const error = await received<Error & { data: object }>(each.client({ token: revoked }), 'connect_error');
        expect(error.data).toMatchObject({ code: 'TOKEN_REVOKED', retryable: false });
        // A live session is renewed by none of them either.
        const again = await each.member('revoked');
        expect(await ask(again, 'refresh-token', { token: revoked })).toBe('TOKEN_REVOKED');
        expect(await received(each.client({ token: await without('other') }), 'joined-groups')).toMatchObject({
          groups: [{ groupId: '1' }],
        });
      }
    } finally {
      await alone.close();
    }
  });

  test('a change of members that comes late is left out', async () => {
    const alice = await relay.member('alice');
    const at = (seq: number) => ({ groupId: '1', userIds: ['alice'], epoch: '1-a', seq });
    await relay.broadcaster.addMembers(at(2));
    await relay.broadcaster.removeMembers(at(4));
    // The same happens when bytes of a process that was killed arrive after those of its successor.
    await relay.broadcaster.addMembers(at(2));
    expect((await broadcast('1', 'secret')).recipients.connections).toBe(0);
    expect(await ask(alice, 'join-group', { groupId: '1' })).toBe('NOT_A_MEMBER');
    await relay.broadcaster.addMembers(at(6));
    await relay.broadcaster.removeMembers(at(4));
    expect((await broadcast('1', 'hello again')).recipients.connections).toBe(1);
  });

  test('a change decided while a connection is being made counts for it', async () => {
    api.mode = 'hang';
    const old = { iat: now() - 100, exp: now() + 600, groups: ['1'] };
    const alice = relay.client({ token: await tokenWith({ ...old, sub: 'alice' }) });
    const bob = relay.client({ token: await tokenWith({ ...old, sub: 'bob' }) });
    await until('both at the door', () => api.queries.flatMap(({ users }) => users).length === 2);
    await relay.broadcaster.addMembers({ groupId: '7', userIds: ['alice'] });
    await relay.broadcaster.disconnectUsers({ userIds: ['bob'], code: 'BANNED', revokeBefore: now() });
    const [joined, ending] = [received(alice, 'joined-groups'), received(bob, 'session-ending')];
    api.release();
    expect(await joined).toMatchObject({ groups: [{ groupId: '7' }] });
    expect(await ending).toMatchObject({ code: 'TOKEN_REVOKED', next: 'stop' });
    expect((await broadcast('7', 'x')).recipients.connections).toBe(1);
  });

  test('a user added after the token was made is in, in the newest groups if not all fit', async () => {
    const small = await startRelayUnderTest({ API_URL: api.url, MAX_GROUPS_PER_CONNECTION: '2' });
    try {
      api.members.add('alice a');
      const token = await tokenFor('alice', ['a']);
      for (const groupId of ['b', 'c']) await small.broadcaster.addMembers({ groupId, userIds: ['alice'] });
      const alice = small.client({ token });
      const { groups } = await received<{ groups: { groupId: string }[] }>(alice, 'joined-groups');
      expect(groups.map(({ groupId }) => groupId)).toEqual(['a', 'c']);
      expect(await ask(alice, 'leave-group', { groupId: 'c' })).toMatchObject({ ok: true });
    } finally {
      await small.close();
    }
  });

  test('a user of a thousand groups gets in', async () => {
    const groups = Array.from({ length: 1_000 }, () => crypto.randomUUID());
    const alice = await relay.member('alice', groups);
    expect(await ask(alice, 'refresh-token', { token: await tokenFor('alice', groups) })).toMatchObject({ ok: true });
  });

  test('many groups of a resume are one question to the API', async () => {
    const alice = await relay.member('alice');
    for (let n = 0; n < 300; n += 2) api.members.add(`alice r${n}`);
    const positions = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`r${n}`, { epoch: '1-a', seq: 1 }]));
    const answer = (await ask<{ groups: Record<string, { error?: { code: string } }> }>(alice, 'resume', {
      positions,
    })) as {
      groups: Record<string, { error?: { code: string } }>;
    };
    expect(api.queries).toHaveLength(1);
    expect(answer.groups['r1']?.error?.code).toBe('NOT_A_MEMBER');
    expect(answer.groups['r2']).toMatchObject({ recovered: false });
  });

  test('notifications reach every connection of a user and nobody else', async () => {
    const [one, two, bob] = [await relay.member('alice'), await relay.member('alice'), await relay.member('bob')];
    const heard = Promise.all([received(one, 'invoice-paid'), received(two, 'invoice-paid')]);
    bob.onAny((event: string) => expect.unreachable(event));
    const input = { userIds: ['alice', 'alice', 'nobody'], event: 'invoice-paid', data: { id: 7 } };
    expect(await relay.broadcaster.notifyUsers(input)).toEqual({ recipients: 2 });
    expect(await heard).toEqual([{ id: 7 }, { id: 7 }]);
    await ask(bob, 'leave-group', { groupId: 'x' });
  });
});

describe('a relay alone, without an API', () => {
  test('decides by the token alone, also from before it was started, and after each restart', async () => {
    const port = String(await freePort());
    const token = await tokenWith({ sub: 'alice', groups: ['1'], iat: now() - 100, exp: now() + 600 });
    const first = await startRelayUnderTest({ RELAY_PORT: port });
    const alice = first.client({ token }, { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
    expect(await received(alice, 'joined-groups')).toEqual({ groups: [{ groupId: '1', position: null }] });
    const again = received(alice, 'joined-groups');
    await first.stop();
    const second = await startRelayUnderTest({ RELAY_PORT: port });
    try {
      expect(await again).toEqual({ groups: [{ groupId: '1', position: null }] });
      const answer = await second.broadcaster.broadcastMessage({ groupId: '1', message: {} });
      expect([answer.recipients.connections, answer.warnings]).toEqual([1, []]);
    } finally {
      await second.close();
      await first.close();
    }
  });

  test('names the user whose token names no groups, or no valid group, or who was removed since (G51)', async () => {
    const relay = await startRelayUnderTest();
    try {
      const { seen } = await watch(relay);
      await relay.member('nobody');
      const wrong = relay.client({
        token: await tokenWith({ sub: 'carol', groups: ['a b', '1'], iat: now(), exp: now() + 60 }),
      });
      expect(await received(wrong, 'joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
      const token = await tokenFor('dave', ['1']);
      await relay.broadcaster.removeMembers({ groupId: '1', userIds: ['dave'] });
      expect(await received(relay.client({ token }), 'joined-groups')).toEqual({ groups: [] });
      const said = [
        { code: 'NO_GROUPS', userId: 'nobody', text: /names no groups.*API_URL is empty.*claim "groups"/ },
        { code: 'INVALID_GROUP', userId: 'carol', text: /names "a b", no group id/ },
        { code: 'NOT_A_MEMBER', userId: 'dave', text: /names group "1"; it was made before the user was removed/ },
      ];
      for (const { code, userId, text } of said) {
        expect(relay.logged).toContainEqual(
          expect.objectContaining({ level: 40, code, userId, msg: expect.stringMatching(text) }),
        );
        await until(code, () => seen.some((event) => event.code === code && event.userId === userId));
      }
    } finally {
      await relay.close();
    }
  });
});

describe('tokens of live connections', () => {
  let relay: RelayUnderTest;
  beforeEach(async () => {
    relay = await startRelayUnderTest();
  });
  afterEach(async () => {
    await relay.close();
  });

  test('a client is told before its token expires, and closed so that a stock client comes back (G13)', async () => {
    const token = await tokenFor('alice', ['1'], 2);
    const alice = relay.client({ token });
    await received(alice, 'joined-groups');
    const endings: { next: string; code: string }[] = [];
    alice.on('session-ending', (ending) => endings.push(ending));
    expect(await received<string>(alice, 'disconnect', 8_000)).toBe('transport close');
    expect(endings.map(({ code, next }) => [code, next])).toEqual([
      ['TOKEN_EXPIRED', 'refresh-token'],
      ['TOKEN_EXPIRED', 'reconnect'],
    ]);
  });

  test('a token that has just ended a session opens no other, whatever clocks may differ by; nor does a service token', async () => {
    // Long enough for a busy machine to let it in first.
    const alice = relay.client(
      { token: await tokenFor('alice', ['1'], 4) },
      { reconnection: true, reconnectionDelay: 20 },
    );
    const welcomes: unknown[] = [];
    alice.on('joined-groups', (groups) => welcomes.push(groups));
    const told: { message: string }[] = [];
    alice.on('session-ending', (ending) => told.push(ending));
    const error = await received<Error & { data: { code: string } }>(alice, 'connect_error');
    expect([error.data.code, welcomes.length, alice.active]).toEqual(['TOKEN_EXPIRED', 1, false]);
    // The session is told to do something that it may do.
    expect(told.at(-1)).toMatchObject({
      next: 'reconnect',
      message: 'the token has expired; log in again, and connect with a new one',
    });
    const claims = { sub: 'billing', aud: 'groupcast-relay', scope: 'broadcast', iat: now() - 60, exp: now() - 1 };
    const token = await tokenWith(claims, TEST_SECRETS.RELAY_SERVICE_SECRET);
    const api = await received<Error & { data: { code: string } }>(
      relay.client({ token, type: 'api' }),
      'connect_error',
    );
    expect(api.data.code).toBe('SERVICE_TOKEN_INVALID');
  });

  test('a refreshed token keeps the connection, joins what is new in it and leaves what is missing', async () => {
    const alice = relay.client({ token: await tokenFor('alice', ['1', '2'], 2) });
    await received(alice, 'joined-groups');
    await received(alice, 'session-ending');
    const changes = Promise.all([received(alice, 'left-groups'), received(alice, 'joined-groups')]);
    const answer = await ask<{ groups: string[]; expiresAt: number }>(alice, 'refresh-token', {
      token: await tokenFor('alice', ['2', '3'], 600),
    });
    expect(answer).toMatchObject({ groups: ['2', '3'], expiresAt: expect.any(Number) });
    expect(await changes).toEqual([
      { groups: ['1'], reason: 'token-refreshed' },
      { groups: [{ groupId: '3', position: null }] },
    ]);
    // Past the end of the first token.
    const end = now() + 3;
    await until('the first token to be over', () => now() >= end);
    expect(alice.connected).toBe(true);
  });

  test('a token that is revoked and not refreshed ends its session', async () => {
    const alice = relay.client({ token: await tokenWith({ sub: 'alice', iat: now() - 10, exp: now() + 600 }) });
    await received(alice, 'joined-groups');
    const ending = received(alice, 'session-ending');
    const input = { userIds: ['alice'], code: 'ROLE_CHANGED', next: 'refresh-token' as const, revokeBefore: now() - 5 };
    await relay.broadcaster.disconnectUsers(input);
    expect(await ending).toMatchObject({ code: 'ROLE_CHANGED', next: 'refresh-token' });
    const token = await tokenWith({ sub: 'alice', iat: now() - 8, exp: now() + 600 });
    expect(await ask(alice, 'refresh-token', { token })).toBe('TOKEN_REVOKED');
    expect(await ask(alice, 'refresh-token', { token: await tokenFor('alice') })).toMatchObject({ ok: true });
  });

  test('another user’s token refreshes nothing', async () => {
    const alice = await relay.member('alice', ['1']);
    expect(await ask(alice, 'refresh-token', { token: await tokenFor('bob', ['1']) })).toBe('FORBIDDEN');
    expect(await ask(alice, 'refresh-token', { token: 'nonsense' })).toBe('TOKEN_INVALID');
    expect(await ask(alice, 'refresh-token', {})).toBe('INVALID_PAYLOAD');
    expect(alice.connected).toBe(true);
  });
});
