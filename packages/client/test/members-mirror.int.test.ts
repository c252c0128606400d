import { createClient, type GroupcastClient, type GroupEvent } from '@groupcast/client';
import { groupcastKeys } from '@groupcast/client/react';
import { until } from '@groupcast/testing';
import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMembersMirror, type Members } from '../src/react/members-mirror.ts';
import { QUERY_DEFAULTS } from '../src/react/query-mirror.ts';
import { memoryLogger } from './manual-clock.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const GROUP = 'GET /api/messaging/groups/g';
const MEMBERS = 'GET /api/messaging/groups/g/members';
const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `u${n + 1}`);

describe('the members of a large group beside a client', () => {
  let server: ScriptedServer;
  let client: GroupcastClient;
  let queries: QueryClient;
  let stop: () => void;
  let heard: GroupEvent[];

  beforeEach(async () => {
    server = await startScriptedServer();
    server.addGroup('g', 3);
    client = createClient({
      apiUrl: server.url,
      getToken: () => 'user token',
      autoConnect: true,
      reconnectMinMs: 20,
      reconnectMaxMs: 100,
      gapHoldMs: 40,
      logger: memoryLogger(),
    });
    heard = [];
    client.on('event', (event) => heard.push(event));
    queries = new QueryClient();
  });
  afterEach(async () => {
    stop();
    queries.clear();
    client.close();
    await server.close();
  });

  /** As `useMembers` does; members that are read again are read at once. */
  async function look(): Promise<void> {
    const mirror = createMembersMirror(client, queries, { random: () => 0 });
    const leave = [mirror.start()];
    stop = () => {
      for (const one of leave) one();
    };
    await until('connected', () => client.connection.getSnapshot().state === 'connected');
    const observer = new QueryObserver<Members>(queries, {
      ...QUERY_DEFAULTS,
      queryKey: groupcastKeys.members(client, 'g'),
      queryFn: async () => mirror.read('g'),
    });
    leave.push(observer.subscribe(() => undefined));
    await until('the members', () => !observer.getCurrentResult().isPending);
    expect(observer.getCurrentResult().error).toBeNull();
  }
  const members = (): Members['members'] =>
    queries.getQueryData<Members>(groupcastKeys.members(client, 'g'))?.members ?? [];
  const shown = (): string[] => members().map(({ userId }) => userId);
  const counted = (): number | undefined => client.group('g').getSnapshot()?.memberCount;
  const requests = (): number[] => [server.count(GROUP), server.count(MEMBERS)];
  async function change(event: 'member-added' | 'member-removed', userIds: string[]): Promise<void> {
    const { seq } = server.publish('g', { event, fields: { userIds } });
    await until('the event', () => heard.some((one) => one.seq === seq));
  }

  test('up to a hundred come with the group, in one request', async () => {
    server.setMembers('g', numbered(100));
    await look();
    expect(shown()).toEqual(numbered(100));
    expect(requests()).toEqual([1, 0]);
  });

  test('more come by pages, each member once and in order', async () => {
    server.setMembers('g', numbered(731));
    await look();
    expect(shown()).toEqual(numbered(731));
    expect(requests()).toEqual([1, 2]);
  });

  test('of fifty thousand the first thousand are read, and their number is known', async () => {
    server.setMembers('g', numbered(50_000));
    await look();
    expect(shown()).toEqual(numbered(1_000));
    expect([counted(), ...requests()]).toEqual([50_000, 1, 2]);
    // Somebody who joins comes behind those who are shown.
    await change('member-added', ['late']);
    expect([counted(), shown().length, shown().includes('late')]).toEqual([50_001, 1_000, false]);
    await change('member-removed', ['u40000']);
    expect([counted(), shown()]).toEqual([50_000, numbered(1_000)]);
    expect(requests()).toEqual([1, 2]);
  });

  test('where one of the first thousand leaves, the next one moves up', async () => {
    server.setMembers('g', numbered(1_200));
    await look();
    await change('member-removed', ['u7']);
    await until('the next one', () => shown().length === 1_000);
    expect(shown()).toEqual(numbered(1_001).filter((userId) => userId !== 'u7'));
    expect(counted()).toBe(1_199);
  });

  test('changes that pass between two pages are in', async () => {
    server.setMembers('g', numbered(900));
    let pages = 0;
    server.script.beforeAnswer = async (request) => {
      if (request !== MEMBERS) return;
      pages += 1;
      if (pages !== 2) return;
      // Gone from the first page, gone from the second, gone and back, and new.
      await change('member-removed', ['u3', 'u800', 'u5']);
      await change('member-added', ['u5', 'late', 'later']);
      await change('member-removed', ['later']);
    };
    await look();
    const left = numbered(900).filter((userId) => !['u3', 'u800', 'u5'].includes(userId));
    expect(shown().toSorted()).toEqual([...left, 'u5', 'late'].toSorted());
    expect(counted()).toBe(left.length + 2);
    // Events do not tell names, and so they are asked for, as for additions that come later.
    await until('the names', () => members().every(({ name }) => name !== undefined));
    expect(shown()).toEqual([...left, 'u5', 'late']);
  });

  test('changes whose events come after the pages that have them are in once', async () => {
    server.setMembers('g', numbered(900));
    const late: GroupEvent[] = [];
    const hold = (event: string, userIds: string[]): void => {
      late.push(server.publish('g', { event, fields: { userIds }, lost: true }));
    };
    let pages = 0;
    server.script.beforeAnswer = async (request) => {
      if (request !== MEMBERS) return;
      pages += 1;
      if (pages !== 2) return;
      hold('member-removed', ['u3', 'u800']);
      hold('member-added', ['late']);
    };
    await look();
    const left = numbered(900).filter((userId) => userId !== 'u3' && userId !== 'u800');
    for (const event of late) server.deliver(event);
    await until('the events', () => heard.length === 2);
    expect(shown()).toEqual([...left, 'late']);
    expect(counted()).toBe(left.length + 1);
  });

  test('a group that is started over between two pages is read again', async () => {
    server.setMembers('g', numbered(900));
    let resets = 0;
    client.on('reset', () => {
      resets += 1;
    });
    let pages = 0;
    server.script.beforeAnswer = async (request) => {
      if (request !== MEMBERS) return;
      pages += 1;
      if (pages !== 2) return;
      server.addGroup('g', 3, '2-b');
      server.setMembers('g', numbered(5));
      server.publish('g');
      await until('the reset', () => resets === 1);
    };
    await look();
    await until('the new members', () => shown().join() === numbered(5).join());
    await change('member-added', ['late']);
    expect(shown()).toContain('late');
  });

  /** The user is removed from the group, and added again with other members, without an event of it. */
  async function rejoin(userIds: string[], whileAway: () => Promise<unknown>): Promise<void> {
    const group = server.groups.get('g');
    if (!group) throw new Error('there is no group');
    server.groups.delete('g');
    server.emit('left-groups', { groups: ['g'], reason: 'member-removed' });
    await until('the removal', () => client.group('g').getSnapshot() === undefined);
    await whileAway();
    server.groups.set('g', group);
    server.setMembers('g', userIds);
    for (const socket of server.sockets()) socket.conn.close();
    await until('the group', () => client.group('g').getSnapshot() !== undefined);
  }

  test('are those of now after the user was removed and, while offline, added again', async () => {
    server.setMembers('g', numbered(3));
    await look();
    await rejoin(numbered(5).slice(1), async () => undefined);
    await until('the members', () => shown().join() === numbered(5).slice(1).join());
  });

  test('that could not be read because the user was in the group no longer are read once it is in it again', async () => {
    server.setMembers('g', numbered(3));
    await look();
    const queryKey = groupcastKeys.members(client, 'g');
    await rejoin(numbered(5), async () => {
      await queries.resetQueries({ queryKey });
      expect(queries.getQueryState(queryKey)).toMatchObject({ status: 'error', data: undefined });
    });
    await until('the members', () => shown().join() === numbered(5).join());
  });

  test('an API that has no pages yet answers all of them with the group', async () => {
    server.script.hasMemberPages = false;
    server.setMembers('g', numbered(300));
    await look();
    expect(shown()).toEqual(numbered(300));
    expect(requests()).toEqual([1, 0]);
    expect(await client.api.group('g')).toMatchObject({ memberCount: 300 });
    await change('member-added', ['late']);
    expect(shown()).toEqual([...numbered(300), 'late']);
  });

  test('… of which a thousand are kept', async () => {
    server.script.hasMemberPages = false;
    server.setMembers('g', numbered(1_100));
    await look();
    expect(shown()).toEqual(numbered(1_000));
    await change('member-added', ['late']);
    expect(shown()).toEqual(numbered(1_000));
    expect(await client.api.group('g')).toMatchObject({ memberCount: 1_101 });
  });
});
