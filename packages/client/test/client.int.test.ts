import {
  type ClientOptions,
  createClient,
  type GroupcastClient,
  type GroupEvent,
  type ViewMessage,
} from '@groupcast/client';
import { groupcastKeys } from '@groupcast/client/react';
import type { Group, Message } from '@groupcast/shared';
import {
  type ServiceProcess,
  type System,
  startApiProcess,
  startRelayProcess,
  startSystem,
  tokenFor,
  tokenWith,
  until,
} from '@groupcast/testing';
import { QueryClient } from '@tanstack/react-query';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createMembersMirror, type Members } from '../src/react/members-mirror.ts';

async function tokenWithName(sub: string, name: string): Promise<string> {
  const iat = Math.floor(Date.now() / 1_000);
  return tokenWith({ sub, name, iat, exp: iat + 3_600 });
}

const texts = (messages: readonly ViewMessage[]): string[] => messages.map(({ content }) => content);
const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${n + 1}`);

describe('the client against the real system', () => {
  let system: System;
  let relay: ServiceProcess;
  let api: ServiceProcess;
  const clients: GroupcastClient[] = [];

  beforeAll(async () => {
    system = await startSystem({ SHUTDOWN_DRAIN_SECONDS: '0' });
    ({ relay, api } = system);
  });
  afterAll(async () => {
    await Promise.all([relay.stop(), api.stop()]);
    await system.stop();
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  function clientOf(userId: string, options: Partial<ClientOptions> = {}): GroupcastClient & { events: GroupEvent[] } {
    const client = createClient({
      apiUrl: system.apiUrl,
      getToken: async () => tokenFor(userId),
      autoConnect: true,
      reconnectMinMs: 50,
      reconnectMaxMs: 300,
      ...options,
    });
    clients.push(client);
    const events: GroupEvent[] = [];
    client.on('event', (event) => events.push(event));
    return Object.assign(client, { events });
  }
  async function connected(...some: GroupcastClient[]): Promise<void> {
    await until('connected', () => some.every((client) => client.connection.getSnapshot().state === 'connected'));
  }
  async function call<T>(userId: string, method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${system.apiUrl}/api/messaging/groups${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await tokenFor(userId)}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
  async function createGroup(userId: string, memberIds: string[]): Promise<string> {
    return (await call<{ group: Group }>(userId, 'POST', '', { memberIds })).group.id;
  }
  async function say(userId: string, groupId: string, content: string): Promise<Message> {
    return (await call<{ message: Message }>(userId, 'POST', `/${groupId}/messages`, { content })).message;
  }
  /** Somebody looks at the group, and its newest page is there. */
  async function open(client: GroupcastClient, groupId: string) {
    const view = client.messages(groupId);
    view.subscribe(() => undefined);
    await until('the messages', () => view.getSnapshot().status === 'ready');
    return { view, shown: (): string[] => texts(view.getSnapshot().messages) };
  }
  /** Every event of the group was delivered once, in order, without holes. */
  function expectComplete(events: readonly GroupEvent[], groupId: string): void {
    const seqs = events.filter((event) => event.groupId === groupId).map(({ seq }) => seq);
    expect(seqs).toEqual(Array.from(seqs, (_, index) => (seqs[0] ?? 0) + index));
  }
  async function restartRelay(): Promise<void> {
    relay = await startRelayProcess(system.env);
  }

  test('a message that one user writes appears once for the other user, and for the writer', async () => {
    const groupId = await createGroup('ann', ['ben']);
    const [ann, ben] = [clientOf('ann'), clientOf('ben')];
    await connected(ann, ben);
    const [annSees, benSees] = [await open(ann, groupId), await open(ben, groupId)];
    const sent = ann.send(groupId, 'hello');
    expect(annSees.view.getSnapshot().messages).toMatchObject([{ status: 'sending', content: 'hello' }]);
    await sent.saved;
    await until('ben to see it', () => benSees.shown().length === 1);
    await until('the event', () => ann.events.some(({ event }) => event === 'new-message'));
    expect(annSees.view.getSnapshot().messages).toMatchObject([{ seq: expect.any(Number), key: sent.clientMessageId }]);
    expect([ann.userId, ben.group(groupId).getSnapshot()?.unreadCount, ben.unread.getSnapshot()]).toEqual([
      'ann',
      1,
      1,
    ]);
    expect(ann.group(groupId).getSnapshot()?.unreadCount).toBe(0);
  });

  test('a relay that is killed again and again costs no message, and the API no question (G19)', async () => {
    const groupId = await createGroup('cat', ['dan', 'eve']);
    // However long a busy machine takes to start a relay, the API is not polled in its place.
    const patient = { pollAfterMs: 120_000 };
    const readers = ['dan', 'eve'].map((user) => clientOf(user, patient));
    const writer = clientOf('cat', patient);
    await connected(...readers, writer);
    const views = await Promise.all([...readers, writer].map(async (client) => open(client, groupId)));
    const expected = numbered('message ', 60);
    const sent: Promise<unknown>[] = [];
    for (const [index, text] of expected.entries()) {
      sent.push(writer.send(groupId, text).saved);
      if (index % 20 === 10) await relay.stop();
      if (index % 20 === 15) await restartRelay();
    }
    await Promise.all(sent);
    await until('everything', () => views.every(({ shown }) => shown().length === 60));
    for (const { shown } of views) expect(shown()).toEqual(expected);
    await until('every event', () => [...readers, writer].every(({ events }) => events.length >= 60));
    for (const client of [...readers, writer]) {
      expectComplete(client.events, groupId);
      expect(client.stats()).toMatchObject({ fetched: 0, missedFoundByPoll: 0 });
    }
  });

  test('messages written while the API is down are saved when it is back, once, in order', async () => {
    const groupId = await createGroup('fay', ['gus']);
    const [fay, gus] = [clientOf('fay'), clientOf('gus')];
    await connected(fay, gus);
    const { shown, view } = await open(fay, groupId);
    const first = fay.send(groupId, 'a1');
    await api.stop();
    const rest = ['a2', 'a3', 'a4'].map((text) => fay.send(groupId, text));
    expect(shown()).toEqual(['a1', 'a2', 'a3', 'a4']);
    api = await startApiProcess(system.env);
    await Promise.all([first, ...rest].map(async ({ saved }) => saved));
    await until('the events', () => gus.events.filter(({ event }) => event === 'new-message').length === 4);
    expect(gus.events.filter(({ event }) => event === 'new-message').map((event) => event['content'])).toEqual(shown());
    expect(view.getSnapshot().messages.map((row) => 'seq' in row)).toEqual([true, true, true, true]);
    expectComplete(gus.events, groupId);
  });

  test('without a relay the API is polled, and nothing is missed; then the relay takes over again', async () => {
    const groupId = await createGroup('hal', ['ivy']);
    const hal = clientOf('hal', { pollAfterMs: 100, pollIntervalMs: 100 });
    await connected(hal);
    const { shown } = await open(hal, groupId);
    await relay.stop();
    await until('polling', () => hal.connection.getSnapshot().state === 'degraded-polling');
    await say('ivy', groupId, 'p1');
    await hal.send(groupId, 'p2').saved;
    await until('both', () => shown().length === 2);
    await until('both events', () => hal.stats().missedFoundByPoll >= 2);
    await restartRelay();
    await connected(hal);
    await say('ivy', groupId, 'p3');
    await until('all', () => shown().length === 3);
    expect(shown()).toEqual(['p1', 'p2', 'p3']);
    expectComplete(hal.events, groupId);
  });

  test('groups one is added to appear and are live; groups one is removed from go', async () => {
    const jan = clientOf('jan');
    await connected(jan);
    const left: string[] = [];
    jan.on('left', ({ groupId }) => left.push(groupId));
    const groupId = await createGroup('kim', ['jan']);
    await until('the group', () => jan.group(groupId).getSnapshot() !== undefined);
    await say('kim', groupId, 'welcome');
    await until('the message', () => jan.group(groupId).getSnapshot()?.lastMessage?.content === 'welcome');
    expect(jan.group(groupId).getSnapshot()).toMatchObject({ unreadCount: 1, memberCount: 2 });
    await call('kim', 'DELETE', `/${groupId}/members/jan`);
    await until('gone', () => left.includes(groupId));
    expect(jan.group(groupId).getSnapshot()).toBeUndefined();
    await say('kim', groupId, 'not for jan');
    const other = await createGroup('kim', ['jan']);
    await until('another group', () => jan.group(other).getSnapshot() !== undefined);
    expect(jan.events.filter((event) => event['content'] === 'not for jan')).toEqual([]);
  });

  test('groups one was added to or removed from while away are put right on return', async () => {
    const kept = await createGroup('lea', ['moe']);
    const lost = await createGroup('lea', ['moe']);
    const moe = clientOf('moe', { pollAfterMs: 50, pollIntervalMs: 50 });
    await connected(moe);
    await relay.stop();
    const added = await createGroup('lea', ['moe']);
    await call('lea', 'DELETE', `/${lost}/members/moe`);
    await until('the list', () => moe.group(added).getSnapshot() && !moe.group(lost).getSnapshot());
    await restartRelay();
    await connected(moe);
    for (const groupId of [kept, added]) await say('lea', groupId, 'still here?');
    await until('both', () =>
      [kept, added].every((id) => moe.group(id).getSnapshot()?.lastMessage?.content === 'still here?'),
    );
    for (const groupId of [kept, added]) expectComplete(moe.events, groupId);
  });

  test('edits and deletions arrive, in older pages as well, and a page is as large as asked', async () => {
    const groupId = await createGroup('ned', ['ola']);
    const saved: Message[] = [];
    for (const text of numbered('n', 25)) saved.push(await say('ned', groupId, text));
    const ola = clientOf('ola', { pageSize: 10 });
    await connected(ola);
    const { view, shown } = await open(ola, groupId);
    expect(shown()).toEqual(numbered('n', 25).slice(15));
    await view.loadEarlier();
    await view.loadEarlier();
    expect([shown(), view.getSnapshot().hasEarlier]).toEqual([numbered('n', 25), false]);
    const [first, second] = [saved[0]?.id ?? '', saved[1]?.id ?? ''];
    await call('ned', 'PATCH', `/${groupId}/messages/${first}`, { content: 'edited' });
    await call('ned', 'DELETE', `/${groupId}/messages/${second}`);
    await until('the changes', () => shown().length === 24 && shown()[0] === 'edited');
    expect(shown().slice(0, 3)).toEqual(['edited', 'n3', 'n4']);
  });

  test('a message read in one window is read in another one', async () => {
    const groupId = await createGroup('pam', ['quy']);
    await say('pam', groupId, 'one');
    await say('pam', groupId, 'two');
    const quy = clientOf('quy');
    await connected(quy);
    expect(quy.group(groupId).getSnapshot()?.unreadCount).toBe(2);
    quy.markRead(groupId);
    expect(quy.unread.getSnapshot()).toBe(0);
    await until('the API to know', async () => {
      const { groups } = await call<{ groups: { id: string; unreadCount: number }[] }>('quy', 'GET', '');
      return groups.find(({ id }) => id === groupId)?.unreadCount === 0;
    });
  });

  test('members, names and the group itself are changed through the client, and everybody’s list of members follows', async () => {
    const [tom, uma] = [clientOf('tom'), clientOf('uma', { getToken: async () => tokenWithName('uma', 'Uma') })];
    const { id } = await tom.api.createGroup({ name: 'Before', memberIds: ['uma'] });
    await connected(tom, uma);
    const queries = new QueryClient();
    const mirror = createMembersMirror(uma, queries);
    const stop = mirror.start();
    const key = groupcastKeys.members(uma, id);
    await queries.fetchQuery({
      queryKey: key,
      queryFn: async () => mirror.read(id),
      staleTime: Number.POSITIVE_INFINITY,
    });
    const shown = () => queries.getQueryData<Members>(key)?.members.map(({ userId }) => userId);
    expect(shown()).toEqual(['tom', 'uma']);
    try {
      expect(await tom.api.addMembers(id, ['vic', 7])).toMatchObject({ applied: true, invited: [], group: { id } });
      await until('the additions', () => shown()?.join() === 'tom,uma,vic,7');
      expect(await tom.api.removeMember(id, 7)).toEqual({ applied: true });
      await until('the removal', () => shown()?.join() === 'tom,uma,vic');
      expect(await tom.api.users(['uma', 'vic', 'nobody'])).toEqual([{ id: 'uma', name: 'Uma' }]);
      expect((await tom.api.group(id)).members).toContainEqual({ userId: 'uma', role: 'member', name: 'Uma' });
      expect(await tom.api.renameGroup(id, 'After')).toMatchObject({ id, name: 'After' });
      await until('the name', () => uma.group(id).getSnapshot()?.name === 'After');
      await expect(uma.api.addMembers(id, ['eve'])).rejects.toMatchObject({ code: 'FORBIDDEN' });
      // Everybody may leave; then an owner closes the group.
      await uma.api.removeMember(id, 'uma');
      await until('to have left', () => uma.group(id).getSnapshot() === undefined);
      await tom.api.deleteGroup(id);
      await until('the end', () => tom.group(id).getSnapshot() === undefined);
    } finally {
      stop();
    }
  });

  test('a group with more members than come with it is read by pages, and its retention changes for everybody', async () => {
    const people = numbered('many-', 740);
    const [ann, ben] = [clientOf('ann'), clientOf('many-1')];
    const { id, memberCount, members } = await ann.api.createGroup({ name: 'Many', memberIds: people.slice(0, 600) });
    expect([memberCount, members.length]).toEqual([601, 100]);
    expect((await ann.api.addMembers(id, people.slice(600))).group.memberCount).toBe(741);
    await connected(ann, ben);
    const mirror = createMembersMirror(ben, new QueryClient());
    const stop = mirror.start();
    try {
      const read = await mirror.read(id);
      expect(read.members.map(({ userId }) => userId).toSorted()).toEqual(['ann', ...people].toSorted());
      expect(read.more).toBe(false);
      const shown = () => ben.group(id).getSnapshot();
      await until('the number', () => shown()?.memberCount === 741);
      await ann.api.removeMember(id, 'many-740');
      await until('the removal', () => shown()?.memberCount === 740);
      expect(await ann.api.updateGroup(id, { retentionDays: 30 })).toMatchObject({ name: 'Many', retentionDays: 30 });
      await until('the retention', () => shown()?.retentionDays === 30);
      await ben.groups.refresh();
      expect(shown()).toMatchObject({ memberCount: 740, retentionDays: 30 });
      expect(await ann.api.updateGroup(id, { retentionDays: null, name: 'More' })).not.toHaveProperty('retentionDays');
      await until('the name', () => shown()?.name === 'More');
      expect(shown()).not.toHaveProperty('retentionDays');
      await expect(ben.api.updateGroup(id, { retentionDays: 1 })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    } finally {
      stop();
    }
  });

  test('over long-polling alone', async () => {
    const groupId = await createGroup('ron', ['sue']);
    const [ron, sue] = [clientOf('ron', { transports: ['polling'] }), clientOf('sue', { transports: ['polling'] })];
    await connected(ron, sue);
    for (const text of numbered('l', 20)) ron.send(groupId, text);
    await until('all', () => sue.events.filter(({ event }) => event === 'new-message').length === 20);
    expectComplete(sue.events, groupId);
  });

  test('a token that is about to expire is replaced without losing the connection', async () => {
    const groupId = await createGroup('tim', ['uma']);
    const states: string[] = [];
    let asked = 0;
    const getToken = async (): Promise<string> => {
      asked += 1;
      return tokenFor('tim', undefined, 4);
    };
    const tim = clientOf('tim', { getToken });
    await connected(tim);
    tim.connection.subscribe(() => states.push(tim.connection.getSnapshot().state));
    for (let n = 1; asked < 4; n += 1) {
      await say('uma', groupId, `t${n}`);
      await until('the message', () => tim.group(groupId).getSnapshot()?.lastMessage?.content === `t${n}`);
    }
    expect(states).toEqual([]);
    expectComplete(tim.events, groupId);
  });

  test('many groups, many writers, a relay that dies: every group is complete', async () => {
    const members = ['v1', 'v2', 'v3'];
    const groups = await Promise.all(numbered('', 8).map(async () => createGroup('v1', members)));
    const some = members.map((user) => clientOf(user));
    await connected(...some);
    const work = Promise.all(
      some.flatMap((client, index) =>
        groups.map(async (groupId) =>
          Promise.all(numbered(`${index}-`, 5).map(async (text) => client.send(groupId, text).saved)),
        ),
      ),
    );
    relay.signal('SIGTERM');
    await relay.exited();
    await restartRelay();
    await work;
    await until('everything', () => some.every(({ events }) => events.length >= 8 * 15));
    await connected(...some);
    for (const client of some) {
      expect(client.events).toHaveLength(8 * 15);
      for (const groupId of groups) expectComplete(client.events, groupId);
    }
  });
});
