import type { MonitorEvent } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leastWanted } from '../src/membership/group-admission.ts';
import { type Admission, admittedBy, type InGroup } from '../src/sessions/in-group.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

describe('the group that makes room', () => {
  const groups = (...entries: [string, Admission][]): Map<string, InGroup> =>
    new Map(entries.map(([groupId, admission]) => [groupId, admittedBy(admission)]));

  test('is the one that was put upon the connection longest ago, then the last one of its token, never one it asked for', () => {
    const all = groups(['t1', 'token'], ['a1', 'added'], ['j1', 'api'], ['a2', 'added'], ['t2', 'token']);
    expect([leastWanted(all, 'added'), leastWanted(all, 'token')]).toEqual(['a1', 'a1']);
    const named = groups(['t1', 'token'], ['j1', 'api'], ['t2', 'token']);
    expect([leastWanted(named, 'added'), leastWanted(named, 'token')]).toEqual(['t2', undefined]);
    expect(leastWanted(groups(['j1', 'api']), 'added')).toBeUndefined();
  });
});

describe('a connection that is in as many groups as it may', () => {
  let relay: RelayUnderTest;
  beforeEach(async () => {
    relay = await startRelayUnderTest({ MAX_GROUPS_PER_CONNECTION: '3' });
  });
  afterEach(async () => relay.close());

  /** The `left-groups` of the socket, as they come. */
  function leftOf(socket: Socket): [string[], string][] {
    const left: [string[], string][] = [];
    socket.on('left-groups', ({ groups, reason }: { groups: string[]; reason: string }) => left.push([groups, reason]));
    return left;
  }
  async function add(groupId: string, userIds = ['victim']): Promise<void> {
    await relay.broadcaster.addMembers({ groupId, userIds });
  }
  async function reached(groupId: string): Promise<number> {
    const { recipients } = await relay.broadcaster.broadcastMessage({ groupId, message: { id: `m-${groupId}` } });
    return recipients.connections;
  }

  test('gets new groups of strangers and of friends, at the cost of what strangers put it into before (G44)', async () => {
    const victim = await relay.member('victim', ['mine', 'ours']);
    const left = leftOf(victim);
    for (let n = 0; n < 20; n += 1) await add(`strange-${n}`);
    const joined = received<{ groups: { groupId: string }[] }>(victim, 'joined-groups');
    await add('friendly');
    expect((await joined).groups.map(({ groupId }) => groupId)).toEqual(['friendly']);
    await until('it to be told of all', () => left.length === 20);
    expect(left).toEqual(Array.from({ length: 20 }, (_, n) => [[`strange-${n}`], 'group-limit']));
    for (const groupId of ['mine', 'ours', 'friendly']) expect(await reached(groupId)).toBe(1);
    expect(await reached('strange-19')).toBe(0);
  });

  test('keeps what it has asked for', async () => {
    const victim = await relay.member('victim', ['mine', 'ours']);
    const left = leftOf(victim);
    await add('wanted');
    expect(await ask(victim, 'join-group', { groupId: 'wanted' })).toMatchObject({ groupId: 'wanted' });
    await add('strange-1');
    await add('strange-2');
    await until('it to be told of both', () => left.length === 2);
    expect(left).toEqual([
      [['ours'], 'group-limit'],
      [['strange-1'], 'group-limit'],
    ]);
    expect(await reached('wanted')).toBe(1);
    expect(await ask(victim, 'join-group', { groupId: 'ours' })).toBe('GROUP_LIMIT');
  });

  test('is let in with a token that names more, and told which groups it is not in (G44)', async () => {
    const socket = relay.client({ token: await tokenFor('greedy', ['1', '2', '3', '4', '5']) });
    const [left, joined] = [
      received(socket, 'left-groups'),
      received<{ groups: { groupId: string }[] }>(socket, 'joined-groups'),
    ];
    expect((await joined).groups.map(({ groupId }) => groupId)).toEqual(['1', '2', '3']);
    expect(await left).toEqual({ groups: ['4', '5'], reason: 'group-limit' });
    expect([await reached('3'), await reached('4')]).toEqual([1, 0]);
  });

  test('keeps what it has when a new token names more, and is told', async () => {
    const socket = await relay.member('greedy', ['1', '2', '3']);
    const left = leftOf(socket);
    const token = await tokenFor('greedy', ['1', '2', '3', '4']);
    expect(await ask(socket, 'refresh-token', { token })).toMatchObject({ groups: ['1', '2', '3'] });
    expect(left).toEqual([[['4'], 'group-limit']]);
  });

  test('is named in the log, once a minute, and to monitors', async () => {
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      subject: 'monitor',
      audience: 'groupcast-relay',
      scopes: ['monitor'],
    });
    const monitor = relay.client({ token, type: 'monitor' });
    await received(monitor, 'monitor-snapshot');
    const warnings: MonitorEvent[] = [];
    monitor.on('monitor-event', (event: MonitorEvent) => {
      if (event.kind === 'warning' && event.code === 'GROUP_LIMIT') warnings.push(event);
    });
    await relay.member('victim', ['mine', 'ours']);
    for (const groupId of ['a', 'b', 'c']) await add(groupId);
    await until('the monitor to see it', () => warnings.length === 2);
    expect(warnings[0]).toMatchObject({ userId: 'victim', groupId: 'a', socketId: expect.any(String) });
    expect(relay.logged.filter(({ code }) => code === 'GROUP_LIMIT')).toHaveLength(1);
  });
});
