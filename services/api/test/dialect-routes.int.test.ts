import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError, openApiOf } from '@groupcast/service-kit';
import {
  connectAs,
  freePort,
  received,
  type ServiceProcess,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { pino } from 'pino';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readApiConfig } from '../src/config.ts';
import { createOnlineUsers } from '../src/dialect-routes/online-users.ts';
import { isAtOrBelow, OWN_PATHS } from '../src/dialects.ts';
import { createPortsWithoutDatabase, describeApi } from '../src/openapi.ts';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const folder = mkdtempSync(join(tmpdir(), 'groupcast-dialects-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ROUTE = {
  method: 'POST',
  path: '/chats/:id',
  command: 'send-message',
  with: { groupId: '$.params.id', content: '$.body.text' },
  answer: '$.message',
};

function fileOf(name: string, http: object[], more: object = {}): string {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify({ name, http, ...more }));
  return path;
}

/** As a relay that hears the event `send_message` of the dialect `underscore-message`. */
async function sendBySocket(api: ApiUnderTest, { groupId, content }: { groupId: string; content: string }) {
  const token = await signServiceToken({
    secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
    subject: 'relay',
    audience: 'groupcast-api',
    scopes: ['relay'],
  });
  const payload = { groupId, content, alsoByHttp: true };
  const event = {
    userId: 'dan',
    socketId: 's1',
    event: 'send-message',
    groupId,
    dialect: 'underscore-message',
    payload,
  };
  const headers = { authorization: `Bearer ${token}` };
  const { body } = await api.request<{ message?: { id: string } }>(null, 'POST', '/internal/events', event, headers);
  expect(body).toMatchObject({ ok: true });
  return body;
}

function problemsOf(dialects: string, more: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    readApiConfig({ ...TEST_SECRETS, API_DIALECTS: dialects, ...more });
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('API_DIALECTS', () => {
  test('is off by default, and lists dialects by name and by path', () => {
    const named = (dialects?: string) =>
      readApiConfig({ ...TEST_SECRETS, API_DIALECTS: dialects }).dialects.map(({ name }) => name);
    expect(named()).toEqual([]);
    expect(named('')).toEqual([]);
    const own = fileOf('own', [ROUTE]);
    expect(named(` conversation-colon , ${own},conversation-colon`)).toEqual(['conversation-colon', 'own']);
  });

  test('names every fault of every file at once', () => {
    const first = fileOf('first', [
      { ...ROUTE, command: 'shout' },
      { ...ROUTE, path: '/chats/:id/:id' },
    ]);
    const second = fileOf('second', [{ ...ROUTE, method: 'GET' }]);
    const third = fileOf('third', [{ ...ROUTE, path: '/a//b' }]);
    expect(problemsOf(`${first},${second},${third},nowhere`)).toEqual([
      expect.stringContaining('first.json: http[0].command: "shout" is no command'),
      expect.stringContaining('first.json: http[1].path: names a parameter twice'),
      expect.stringContaining('second.json: http[0].method: GET must change nothing'),
      expect.stringContaining('third.json: http[0].path: must be a path such as'),
      expect.stringContaining('API_DIALECTS nowhere: there is no dialect "nowhere"'),
    ]);
  });

  test('refuses routes that another dialect has, or that are Groupcast’s own', () => {
    const one = fileOf('one', [ROUTE, { ...ROUTE, method: 'PUT' }]);
    const other = fileOf('other', [
      { ...ROUTE, path: '/chats/:chatId', with: { groupId: '$.params.chatId', content: '$.body.text' } },
    ]);
    expect(problemsOf(`${one},${other}`)).toEqual([
      'API_DIALECTS must not have the route POST /chats/:chatId of the dialect "other"; the dialect "one" has the same route',
    ]);
    expect(problemsOf(one, { RELAY_WS_PATH: '/chats/ws' })).toEqual([
      expect.stringContaining('POST /chats/:id of the dialect "one"; /chats/ws and what is below it'),
      expect.stringContaining('PUT /chats/:id of the dialect "one"; /chats/ws and what is below it'),
    ]);
    const own = ['/api/messaging/groups/:id/messages', '/internal/:what', '/api/:what', '/:what'];
    const ours = fileOf(
      'ours',
      own.map((path) => ({ ...ROUTE, path, with: { groupId: '7', content: '$.body.text' } })),
    );
    expect(problemsOf(ours).map((problem) => problem.split('"; ')[1])).toEqual([
      '/api/messaging and what is below it are Groupcast’s own',
      '/internal and what is below it are Groupcast’s own',
      '/api/messaging and what is below it are Groupcast’s own',
      'its path must not begin with a parameter',
    ]);
  });

  test('knows every path of our own', async () => {
    const paths = Object.keys((await describeApi()).paths);
    expect(paths.filter((path) => !OWN_PATHS.some((own) => isAtOrBelow(path, own)))).toEqual([]);
  });

  test('adds its routes to the OpenAPI document, by dialect', async () => {
    const { app, internal } = await createPortsWithoutDatabase({ API_DIALECTS: 'conversation-colon' });
    const { paths } = await openApiOf(app);
    await Promise.all([app.close(), internal.close()]);
    const described = paths['/api/v1/chats/{conversationId}/messages'];
    expect(Object.keys(described ?? {}).toSorted()).toEqual(['get', 'post']);
    expect(described?.post?.tags).toEqual(['conversation-colon']);
  });
});

describe('a mapped route', () => {
  let api: ApiUnderTest;
  beforeAll(async () => {
    // No relay: who is there is then who was seen lately.
    api = await startApiUnderTest({ API_DIALECTS: 'conversation-colon', API_RATE_LIMIT_PER_MINUTE: '4' });
  });
  afterAll(async () => api.close());

  test('costs the budget of its user, refuses in its own shape, and is counted by its route', async () => {
    const path = '/api/v1/chats/c1/messages';
    expect((await api.request('ann', 'POST', '/api/messaging/groups', { id: 'c1', name: 'x' })).status).toBe(201);
    const sent = await api.request('ann', 'POST', path, { content: 'hi' });
    const listed = await api.request<{ data: { sender: object }[] }>('ann', 'GET', path);
    expect([sent.status, listed.status]).toEqual([201, 200]);
    expect(listed.body.data.map(({ sender }) => sender)).toEqual([
      { userId: 'ann', isOnline: false, _id: 'ann', fullName: 'ann', email: null, photo: null },
    ]);
    expect((await api.request('ann', 'GET', path)).status).toBe(200);
    const refused = await api.request('ann', 'GET', path);
    expect(refused).toEqual({ status: 429, body: { error: expect.stringMatching(/too many/), code: 'RATE_LIMITED' } });
    // Clients that send twice are of another dialect, which is not on.
    await sendBySocket(api, { groupId: 'c1', content: 'hi' }).catch(() => undefined);
    expect(api.logged).toContainEqual(
      expect.objectContaining({ dialect: 'underscore-message', msg: expect.stringContaining('list the dialect in') }),
    );
    const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/method="POST",route="\/api\/v1\/chats\/:conversationId\/messages",status="201"/);
  });
});

describe('answers that are bare texts', () => {
  let api: ApiUnderTest;
  beforeAll(async () => {
    const routes = [
      { ...ROUTE, answer: '$.message.content' },
      { ...ROUTE, method: 'PUT', answer: '$.message.nothing' },
    ];
    api = await startApiUnderTest({ API_DIALECTS: fileOf('texts', routes, { httpError: '$.code' }) });
  });
  afterAll(async () => api.close());

  test('are JSON as all others, of what was carried out and of what was refused', async () => {
    expect((await api.request('ann', 'POST', '/api/messaging/groups', { id: 't1', name: 'x' })).status).toBe(201);
    const token = await tokenFor('ann');
    const ask = async (method: string, path: string, body: string) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const answer = await fetch(`${api.url}${path}`, { method, headers, body });
      return [answer.status, answer.headers.get('content-type'), await answer.text()];
    };
    const json = 'application/json; charset=utf-8';
    expect(await ask('POST', '/chats/t1', '{"text":"say \\"hi\\""}')).toEqual([200, json, '"say \\"hi\\""']);
    expect(await ask('PUT', '/chats/t1', '{"text":"x"}')).toEqual([200, json, 'null']);
    expect(await ask('POST', '/chats/t1', '{')).toEqual([400, json, '"INVALID_PAYLOAD"']);
    expect(await ask('DELETE', '/chats/t1', '{}')).toEqual([404, json, '"NOT_FOUND"']);
    expect(await ask('POST', '/chats/%zz', '{}')).toEqual([400, json, '"INVALID_PAYLOAD"']);
  });
});

describe('a client that sends by socket and by HTTP', () => {
  let api: ApiUnderTest;
  let relay: ServiceProcess;
  let dan: Socket;
  beforeAll(async () => {
    const port = String(await freePort());
    const dialect = { RELAY_DIALECTS: 'underscore-message', RELAY_DIALECT: 'underscore-message' };
    relay = await startRelayProcess({ API_URL: `http://127.0.0.1:${port}`, ...dialect });
    const env = { API_PORT: port, RELAY_URL: relay.url, API_DIALECTS: 'conversation-colon,underscore-message' };
    api = await startApiUnderTest(env);
    dan = await connectAs(relay.url, 'dan');
  });
  afterAll(async () => {
    dan.disconnect();
    await api.close();
    await relay.stop();
  });

  /** Resolves to the id of the message, as the front end is told it. */
  async function sendOverRelay(content: string): Promise<string> {
    const told = received<{ messageId: string; status: string }>(dan, 'message_status');
    dan.emit('send_message', { conversationId: 'd1', content });
    const { messageId, status } = await told;
    expect(status).toBe('sent');
    return messageId;
  }

  test('has sent one message, by whichever route (G78)', async () => {
    const groups = '/api/messaging/groups';
    const routes = [`${groups}/d1/messages`, '/api/v1/chats/d1/messages'];
    expect((await api.request('dan', 'POST', groups, { id: 'd1', name: 'x' })).status).toBe(201);
    type Answer = { message?: { id: string }; data?: { id: string } };
    const idOf = ({ message, data }: Answer) => (message ?? data)?.id;
    dan.emit('join_conversation', { conversationId: 'd1' });
    for (const [n, route] of routes.entries()) {
      const byHttp = async (content: string) => {
        const { status, body } = await api.request<Answer>('dan', 'POST', route, { content });
        expect(status).toBe(201);
        return idOf(body);
      };
      const one = await sendOverRelay(`socket first ${n}`);
      expect(one).toBe(await byHttp(`socket first ${n}`));
      expect(await byHttp(`HTTP first ${n}`)).toBe(await sendOverRelay(`HTTP first ${n}`));
    }
    const { body } = await api.request<{ messages: object[] }>('dan', 'GET', routes[0] ?? '');
    expect(body.messages.length).toBe(4);
  });
});

describe('the presence of senders', () => {
  const log = pino({ level: 'silent' });
  const nobody = { users: [], numUsers: 0, numConnections: 0 };
  /** A database in which these users were seen lately. */
  const seen = (...ids: string[]) => ({
    query: async () => ({ rows: ids.map((id) => ({ id })) as never[], count: 0 }),
  });

  test('is asked once for answers that come together, and not while there is no relay', async () => {
    const asked: unknown[] = [];
    const relay = {
      connected: true,
      async getPresence({ groupId }: { groupId: string | number }) {
        asked.push(groupId);
        return { groupId: String(groupId), ...nobody, users: [{ userId: 'ann', connections: 2 }] };
      },
    };
    const online = createOnlineUsers({ relay, db: seen('ben'), log });
    const answers = await Promise.all([1, 2, 3].map(async () => online.among('7', ['ann', 'ben'])));
    expect(answers).toEqual([new Set(['ann']), new Set(['ann']), new Set(['ann'])]);
    relay.connected = false;
    expect(await online.among('8', ['ann', 'ben'])).toEqual(new Set(['ben']));
    expect(asked).toEqual(['7']);
  });

  test('is who was seen lately where the relay does not answer in time, fails, or names a crowd', async () => {
    const answers = [
      async () => new Promise<never>(() => undefined),
      async () => Promise.reject(new Error('away')),
      async () => ({
        groupId: '7',
        ...nobody,
        users: Array.from({ length: 1_001 }, (_, n) => ({ userId: `u${n}`, connections: 1 })),
      }),
    ];
    for (const getPresence of answers) {
      const online = createOnlineUsers({ relay: { connected: true, getPresence }, db: seen('ben'), log });
      expect(await online.among('7', ['ann', 'ben'])).toEqual(new Set(['ben']));
    }
  });

  test('is nobody where the database does not say either', async () => {
    const db = { query: async () => Promise.reject(new Error('gone')) };
    const relay = { connected: false, getPresence: async () => Promise.reject(new Error('away')) };
    expect(await createOnlineUsers({ relay, db, log }).among('7', ['ann'])).toEqual(new Set());
  });
});
