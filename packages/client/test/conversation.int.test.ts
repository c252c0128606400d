import { type ClientOptions, createClient, type GroupcastClient, type MessageNotification } from '@groupcast/client';
import { until } from '@groupcast/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { memoryLogger } from './manual-clock.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const RECEIPTS = 'GET /api/messaging/groups/g/receipts';
const READ = 'POST /api/messaging/groups/g/read';

describe('a conversation beside its messages', () => {
  let server: ScriptedServer;
  let client: GroupcastClient;

  beforeEach(async () => {
    server = await startScriptedServer();
    server.addGroup('g', 3);
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  async function start(options: Partial<ClientOptions> = {}): Promise<void> {
    client = createClient({
      apiUrl: server.url,
      getToken: () => 'user token',
      autoConnect: true,
      reconnectMinMs: 20,
      reconnectMaxMs: 100,
      cursorIntervalMs: 30,
      // Requests that are spread over members are made at once.
      random: () => 0,
      logger: memoryLogger(),
      ...options,
    });
    await connected();
  }
  const connected = async (): Promise<unknown> =>
    until('connected', () => client.connection.getSnapshot().state === 'connected');
  function cut(): void {
    for (const socket of server.sockets()) socket.conn.close();
  }
  const heard = (event: string): unknown[] =>
    server.heard.filter((one) => one.event === event).map(({ payload }) => payload);
  const rows = (): string[] =>
    client
      .messages('g')
      .getSnapshot()
      .messages.map(({ content, status }) => `${content} ${status}`);

  test('own messages are sent, delivered and read as the others are told of, also after what a reconnect has missed', async () => {
    await start();
    client.messages('g').subscribe(() => undefined);
    await until('the messages', () => rows().length === 3);
    // Nobody reads receipts of others’ messages.
    expect(server.count(RECEIPTS)).toBe(0);
    await client.send('g', 'mine').saved;
    await until('the receipts', () => server.count(RECEIPTS) === 1);
    expect(rows().at(-1)).toBe('mine sent');
    server.emit('receipt', { groupId: 'g', users: { other: { received: 4 } } });
    await until('the delivery', () => rows().at(-1) === 'mine delivered');
    cut();
    server.script.cursors.set('other', { received: 4, read: 4 });
    await until('the reading', () => rows().at(-1) === 'mine read');
    server.emit('receipt', { groupId: 'g', users: { other: { received: 2, read: 1 } } });
    const { saved } = client.send('g', 'next');
    await saved;
    expect(rows().slice(-2)).toEqual(['mine read', 'next sent']);
    const read = server.count(RECEIPTS);
    await connected();
    expect(server.count(RECEIPTS)).toBe(read);
    // A relay that is cut off from the others shows no receipts, on a connection that stays.
    server.emit('service-state', { live: false });
    server.script.cursors.set('other', { received: 5, read: 5 });
    server.emit('service-state', { live: true });
    await until('the next reading', () => rows().at(-1) === 'next read');
  });

  test('a user who was removed and added again is told how far the others are, on the same connection', async () => {
    await start();
    const receipts = client.receipts('g');
    receipts.subscribe(() => undefined);
    await until('the receipts', () => receipts.getSnapshot().status === 'ready');
    const group = server.groups.get('g');
    if (!group) throw new Error('there is no group');
    server.groups.delete('g');
    server.emit('left-groups', { groups: ['g'], reason: 'member-removed' });
    await until('the removal', () => client.group('g').getSnapshot() === undefined);
    // A question about a group that one has left is refused.
    await expect(client.api.receipts('g')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    server.script.cursors.set('other', { received: 3, read: 3 });
    server.groups.set('g', group);
    const position = { epoch: group.epoch, seq: group.events.length };
    server.emit('joined-groups', { groups: [{ groupId: 'g', position }] });
    await until('the receipts', () => receipts.getSnapshot().reach.read === 3);
    expect(receipts.getSnapshot().status).toBe('ready');
  });

  test('messages that another window has read are read here at once, without a report; after a part of them the API counts', async () => {
    await start();
    for (const content of ['a', 'b']) server.publish('g', { fields: { content } });
    await until('two unread', () => client.unread.getSnapshot() === 2);
    server.emit('read-cursor', { groupId: 'g', readSeq: 4 });
    await until('the question', () => server.count(READ) === 1);
    server.emit('read-cursor', { groupId: 'g', readSeq: 5 });
    await until('nothing unread', () => client.unread.getSnapshot() === 0);
    expect(client.group('g').getSnapshot()?.readSeq).toBe(5);
    await until('the report', () => heard('update-cursors').length > 0);
    expect(JSON.stringify(heard('update-cursors'))).not.toContain('"read"');
  });

  test('typing is shown, told, and over with the message', async () => {
    await start();
    const typing = client.typing('g');
    server.emit('typing', { groupId: 'g', userId: 'other', isTyping: true });
    await until('the typist', () => typing.getSnapshot().join() === 'other');
    server.publish('g');
    await until('the end', () => typing.getSnapshot().length === 0);
    typing.start();
    typing.start();
    client.send('g', 'typed');
    await until('the words', () => heard('typing').length === 2);
    expect(heard('typing')).toEqual([
      { groupId: 'g', isTyping: true },
      { groupId: 'g', isTyping: false },
    ]);
    server.emit('typing', { groupId: 'g', userId: 'other', isTyping: true });
    await until('the typist', () => typing.getSnapshot().length === 1);
    cut();
    await until('the end', () => typing.getSnapshot().length === 0);
  });

  test('notifications are asked for in each handshake, and which group is on screen is said on each connection', async () => {
    await start({ notifications: true });
    const notified: MessageNotification[] = [];
    client.notifications.subscribe((notification) => notified.push(notification));
    client.viewGroup('g');
    await until('the view', () => heard('view-group').length === 1);
    cut();
    await until('the view again', () => heard('view-group').length === 2);
    expect(heard('view-group')).toEqual([{ groupId: 'g' }, { groupId: 'g' }]);
    expect(server.handshakes.map(({ notifications }) => notifications)).toEqual([true, true]);
    const message = { id: 'm', groupId: 'h', epoch: '1-a', seq: 1, senderId: 'other', content: 'hi', createdAt: '' };
    server.emit('notification', { kind: 'message', groupId: 'h', message });
    await until('the notification', () => notified.length === 1);
    expect(notified[0]?.message).toMatchObject({ content: 'hi', sender: { userId: 'other' } });
  });

  test('without the option no notification is asked for', async () => {
    await start();
    expect(server.handshakes[0]).not.toHaveProperty('notifications');
  });

  test('presence is asked for anew on each connection', async () => {
    await start();
    const presence = client.presence('g');
    presence.subscribe(() => undefined);
    await until('the question', () => heard('get-presence').length === 1);
    await until('the answer', () => presence.getSnapshot().status === 'ready');
    server.emit('presence', { groupId: 'g', online: ['other'], offline: [] });
    await until('the change', () => presence.getSnapshot().online.has('other'));
    cut();
    await until('the question again', () => heard('get-presence').length === 2);
    await until('the answer', () => presence.getSnapshot().status === 'ready' && presence.getSnapshot().count === 0);
  });

  test('an edit and a deletion are on screen before they are saved, and back where they are refused', async () => {
    await start();
    client.messages('g').subscribe(() => undefined);
    await until('the messages', () => rows().length === 3);
    server.script.changeErrors = [{ code: 'FORBIDDEN', message: 'not yours', retryable: false }];
    const refused = client.editMessage('g', '1-a:1', 'new');
    expect(rows()[0]).toBe('new sent');
    await expect(refused).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(rows()[0]).toBe('g 1 sent');

    // The answer comes, and the event is lost until the next one shows the gap.
    await client.editMessage('g', '1-a:1', 'newer');
    const deleted = client.deleteMessage('g', '1-a:2');
    expect(rows()).toEqual(['newer sent', 'g 3 sent']);
    await deleted;
    server.publish('g', { fields: { content: 'after' } });
    await until('the message', () => rows().length === 3);
    expect(rows()).toEqual(['newer sent', 'g 3 sent', 'after sent']);
  });

  test('a message carries what the application gives it, from the first moment', async () => {
    await start();
    client.messages('g').subscribe(() => undefined);
    const custom = { order: 7 };
    const { saved } = client.send('g', { content: 'with', custom, kind: 'order' });
    custom.order = 8;
    expect(client.messages('g').getSnapshot().messages.at(-1)).toMatchObject({ kind: 'order', custom: { order: 7 } });
    await saved;
  });

  test('closed, it leaves nothing', async () => {
    await start();
    client.receipts('g').subscribe(() => undefined);
    client.presence('g').subscribe(() => undefined);
    client.typing('g').start();
    client.close();
    const asked = server.requests.length;
    client.receipts('h').subscribe(() => undefined);
    client.presence('h').subscribe(() => undefined);
    client.viewGroup('h');
    client.typing('h').start();
    await until('the end', () => server.sockets().length === 0);
    expect([server.requests.length - asked, heard('view-group')]).toEqual([0, []]);
  });
});
