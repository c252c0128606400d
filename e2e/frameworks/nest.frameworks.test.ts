import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  connectAs,
  freePort,
  type ManagedProcess,
  manage,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { expectMessages, say, startChatBrowser } from '../chat-browser.ts';
import { type InstalledExample, installExample } from './installed-example.ts';

const GROUP = '7';

let example: InstalledExample;

beforeAll(async () => {
  example = await installExample('nest', {});
});
afterAll(() => example?.remove());

interface Nest {
  url: string;
  relay: ManagedProcess & { url: string };
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** A relay, and the Nest example as its back end. */
async function startNest(): Promise<Nest> {
  const data = mkdtempSync(join(tmpdir(), 'groupcast-nest-data-'));
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const relay = await startRelayProcess({ API_URL: url, RELAY_DIALECTS: 'underscore-message' });
  let server: ManagedProcess | undefined;
  const nest: Nest = {
    url,
    relay,
    async kill() {
      server?.signal('SIGKILL');
      await server?.exited();
    },
    async start() {
      server = manage(process.execPath, ['dist/main.js'], {
        cwd: example.folder,
        env: {
          PATH: process.env['PATH'] ?? '',
          ...TEST_SECRETS,
          PORT: String(port),
          RELAY_URL: relay.url,
          JOURNAL_FILE: join(data, 'chat.jsonl'),
        },
      });
      await server.wrote('is ready');
    },
  };
  onTestFinished(async () => {
    await nest.kill();
    await relay.stop();
    rmSync(data, { recursive: true, force: true });
  });
  await nest.start();
  return nest;
}

interface Heard {
  socket: Socket;
  /** Messages as they came: their place, and what they say. */
  messages: string[];
}

/** A stock client that has joined the group. */
async function join7(nest: Nest, userId: string): Promise<Heard> {
  const socket = await connectAs(nest.relay.url, userId);
  onTestFinished(() => void socket.close());
  const messages: string[] = [];
  socket.on('new-message', ({ seq, content }: { seq: number; content: string }) => messages.push(`${seq} ${content}`));
  expect(await socket.emitWithAck('join-group', { groupId: GROUP })).toMatchObject({ ok: true });
  return { socket, messages };
}

async function post(nest: Nest, userId: string, content: string): Promise<Response> {
  return fetch(`${nest.url}/groups/${GROUP}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenFor(userId)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ content }),
  });
}

test('NestJS: a message of one stock client, over the socket or by HTTP, reaches both once; one that is not a member is refused', async () => {
  const nest = await startNest();
  const [alice, bob] = [await join7(nest, 'alice'), await join7(nest, 'bob')];
  const carol = await connectAs(nest.relay.url, 'carol');
  onTestFinished(() => void carol.close());
  const carolHeard: unknown[] = [];
  carol.on('new-message', (message) => carolHeard.push(message));

  const sent = { groupId: GROUP, content: 'Is the lamp still there?', clientMessageId: 'c1' };
  const first = await alice.socket.emitWithAck('send-message', sent);
  expect(first).toMatchObject({ ok: true, message: { seq: 1, senderId: 'alice', content: sent.content } });
  // The client has not heard the answer, and sends again.
  expect(await alice.socket.emitWithAck('send-message', sent)).toEqual(first);
  expect((await post(nest, 'bob', 'It is.')).status).toBe(201);
  expect(await bob.socket.emitWithAck('send-message', { groupId: GROUP, content: '' })).toMatchObject({
    ok: false,
    error: { code: 'INVALID_PAYLOAD' },
  });

  expect(await carol.emitWithAck('join-group', { groupId: GROUP })).toMatchObject({
    ok: false,
    error: { code: 'NOT_A_MEMBER' },
  });
  expect(await carol.emitWithAck('send-message', { groupId: GROUP, content: 'Let me in' })).toMatchObject({
    ok: false,
  });
  const refused = await post(nest, 'carol', 'Let me in');
  expect([refused.status, await refused.json()]).toMatchObject([403, { error: { code: 'NOT_A_MEMBER' } }]);

  // A front end that was written for a gateway of its own keeps its words.
  const older = await connectAs(`${nest.relay.url}/?dialect=underscore-message`, 'bob');
  onTestFinished(() => void older.close());
  const olderHeard: { conversationId: string; message: { content: string } }[] = [];
  older.on('new_message', (message: (typeof olderHeard)[number]) => olderHeard.push(message));
  await older.emitWithAck('join_conversation', { conversationId: GROUP });
  older.emit('send_message', { conversationId: GROUP, content: 'Come by at five.' });
  await until('the message of the older front end', () => alice.messages.length === 3);
  expect(await alice.socket.emitWithAck('send-message', { groupId: GROUP, content: 'I will.' })).toMatchObject({
    ok: true,
  });

  const all = ['1 Is the lamp still there?', '2 It is.', '3 Come by at five.', '4 I will.'];
  for (const { messages } of [alice, bob]) await expect.poll(() => messages).toEqual(all);
  await expect.poll(() => olderHeard.map(({ message }) => message.content)).toEqual(['I will.']);
  expect(carolHeard).toEqual([]);
});

test('NestJS: the routes of the relay answer the relay alone', async () => {
  const nest = await startNest();
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const right = { secret, scopes: ['relay'], subject: 'test', audience: 'groupcast-api' } as const;
  const ask = async (path: string, authorization: string | undefined, body: object): Promise<[number, unknown]> => {
    const response = await fetch(`${nest.url}/internal/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
      body: JSON.stringify(body),
    });
    return [response.status, await response.json()];
  };
  const wrong = [
    undefined,
    await tokenFor('alice'),
    await signServiceToken({ ...right, audience: 'groupcast-relay' }),
    await signServiceToken({ ...right, scopes: ['broadcast'] }),
    await signServiceToken({ ...right, secret: `${secret}, almost` }),
    await signServiceToken({ ...right, ttlSeconds: -120 }),
  ];
  for (const path of ['memberships', 'groups', 'events', 'history']) {
    for (const token of wrong) {
      const answer = await ask(path, token && `Bearer ${token}`, { userIds: ['alice'] });
      expect(answer).toMatchObject([401, { error: { code: 'SERVICE_TOKEN_INVALID' } }]);
    }
  }
  const token = `Bearer ${await signServiceToken(right)}`;
  const users = [
    { userId: 'alice', groupIds: [GROUP, '8'] },
    { userId: 'carol', groupIds: [GROUP] },
  ];
  expect(await ask('memberships', token, { users })).toEqual([
    200,
    {
      users: [
        { userId: 'alice', groupIds: [GROUP] },
        { userId: 'carol', groupIds: [] },
      ],
    },
  ]);
  expect(await ask('groups', token, { userIds: ['bob', 'carol'] })).toEqual([
    200,
    {
      users: [
        { userId: 'bob', groupIds: [GROUP] },
        { userId: 'carol', groupIds: [] },
      ],
    },
  ]);
  const event = { userId: 'alice', socketId: 'x', event: 'dance', payload: null, dialect: 'native' };
  expect(await ask('events', token, event)).toMatchObject([200, { ok: false, error: { code: 'UNKNOWN_EVENT' } }]);
  expect(await ask('cursors', token, { cursors: [] })).toMatchObject([404, {}]);
});

test('NestJS: killed with messages that the relay has not acknowledged, it sends them after the restart, and nobody gets one twice', async () => {
  const nest = await startNest();
  const [alice, bob] = [await join7(nest, 'alice'), await join7(nest, 'bob')];
  const send = async (content: string) =>
    alice.socket.emitWithAck('send-message', { groupId: GROUP, content, clientMessageId: content }) as Promise<{
      ok: boolean;
      error?: { code: string };
    }>;
  expect(await send('before')).toMatchObject({ ok: true });
  for (const { messages } of [alice, bob]) await expect.poll(() => messages).toEqual(['1 before']);

  nest.relay.signal('SIGSTOP');
  for (const content of ['two', 'three', 'four']) expect((await post(nest, 'bob', content)).status).toBe(201);
  await nest.kill();
  nest.relay.signal('SIGCONT');
  // Those who are connected stay, and hear why nothing is saved now.
  expect(await send('five')).toMatchObject({ ok: false, error: { code: 'API_UNAVAILABLE' } });
  await nest.start();
  for (const { messages } of [alice, bob]) {
    await expect.poll(() => messages).toEqual(['1 before', '2 two', '3 three', '4 four']);
  }
  await until('the back end to be asked again', async () => (await send('five')).ok);
  expect((await post(nest, 'bob', 'six')).status).toBe(201);

  const all = ['1 before', '2 two', '3 three', '4 four', '5 five', '6 six'];
  for (const { messages } of [alice, bob]) await expect.poll(() => messages).toEqual(all);
  await nest.kill();
  await nest.start();
  expect((await post(nest, 'bob', 'seven')).status).toBe(201);
  for (const { messages } of [alice, bob]) await expect.poll(() => messages).toEqual([...all, '7 seven']);
});

test('NestJS: its page signs people in, shows what was said before, and tells one that is not a member why', async () => {
  const nest = await startNest();
  expect((await post(nest, 'bob', 'Good morning')).status).toBe(201);
  const browser = await startChatBrowser();
  onTestFinished(() => browser.close());
  const signIn = async (name: RegExp) => {
    const page = await browser.open(nest.url);
    await page.getByRole('button', { name }).click();
    return page;
  };
  const [alice, bob, carol] = [await signIn(/Alice/), await signIn(/Bob/), await signIn(/Carol/)];
  for (const page of [alice, bob]) await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
  await say(alice, 'Good morning, Bob');
  for (const page of [alice, bob]) await expectMessages(page, ['Good morning', 'Good morning, Bob']);
  await carol.getByRole('alert').filter({ hasText: 'not a member' }).waitFor();
  await expectMessages(carol, []);
  expect(browser.complaints).toEqual([]);
});
