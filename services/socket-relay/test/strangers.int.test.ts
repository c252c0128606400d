import { received, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

interface Seen {
  kind: string;
  code?: string;
  message?: string;
  userId?: string;
}

describe('a client of another protocol is told so, in the answer, in the log and in the monitor:', () => {
  let relay: RelayUnderTest;
  const seen: Seen[] = [];
  beforeAll(async () => {
    relay = await startRelayUnderTest({ SOCKET_CORS_ORIGIN: 'https://app.example.com' });
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, subject: 'm', scopes: ['monitor'] });
    const monitor = relay.client({ token, type: 'monitor' });
    monitor.on('monitor-event', (event: Seen) => seen.push(event));
    await received(monitor, 'monitor-snapshot');
  });
  afterAll(async () => {
    await relay.close();
  });

  /** Log and monitor have it, once each. */
  async function said(code: string, text: RegExp, kind: 'refused' | 'warning' = 'refused'): Promise<void> {
    const shown = (): Seen[] => seen.filter((event) => event.code === code && text.test(event.message ?? ''));
    await until(`${code} ${text}`, () => shown().length > 0);
    expect(shown().map((event) => event.kind)).toEqual([kind]);
    const lines = relay.logged.filter((line) => line.code === code && text.test(line.msg));
    expect(lines.map(({ level }) => level)).toEqual([40]);
  }

  /** How an upgrade is answered. */
  async function upgrade(path: string): Promise<{ status: number | undefined; body: string }> {
    const webSocket = new WebSocket(`${relay.url.replace('http', 'ws')}${path}`);
    return new Promise((resolve, reject) => {
      webSocket.on('unexpected-response', (_request, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode, body }));
      });
      webSocket.on('open', () => reject(new Error('it was opened')));
      webSocket.on('error', () => undefined);
    });
  }

  test.each([
    ['a later request of socket.io-client 2.x', '/socket.io/?EIO=3&transport=polling&j=0', /\(EIO=3\).*client 4/],
    ['a version that is to come', '/socket.io/?EIO=5&transport=polling', /\(EIO=5\)/],
    ['socket.io 0.9', '/socket.io/1/?t=1364', /\(no EIO\)/],
    ['a probe', '/socket.io/', /a plain request.*\/livez/],
  ])('by polling, %s', async (_what, path, text) => {
    for (let n = 0; n < 2; n += 1) {
      const response = await fetch(`${relay.url}${path}`);
      const body = (await response.json()) as { code: number; error: object };
      expect(response.status).toBe(400);
      const error = { code: 'UNSUPPORTED_PROTOCOL', message: expect.stringMatching(text), retryable: false };
      expect(body).toMatchObject({ code: 5, error });
    }
    await said('UNSUPPORTED_PROTOCOL', text);
  });

  test.each([
    ['an old client', '/socket.io/?EIO=2&transport=websocket', 400, 'UNSUPPORTED_PROTOCOL', /\(EIO=2\)/],
    [
      'a plain one at the right path',
      '/socket.io/',
      400,
      'UNSUPPORTED_PROTOCOL',
      /a plain WebSocket.*set RELAY_WS_PATH/,
    ],
    [
      'a plain one at another path',
      '/ws',
      404,
      'NOT_FOUND',
      /nothing at "\/ws".*use socket\.io-client.*set RELAY_WS_PATH/,
    ],
    ['behind a proxy that keeps its prefix', '/rt/socket.io/?EIO=4', 404, 'NOT_FOUND', /take "\/rt" off the path/],
  ])('by WebSocket, %s', async (_what, path, status, code, text) => {
    const answer = await upgrade(path);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      status,
      expect.objectContaining({ error: expect.objectContaining({ code, message: expect.stringMatching(text) }) }),
    ]);
    await said(code, text);
  });

  test.each([
    ['a client with another path', '/realtime/?EIO=4&transport=polling', /leave the client's option path alone/],
    ['a client behind another prefix', '/chat/socket.io/?EIO=4&transport=polling', /take "\/chat" off the path/],
  ])('by polling, %s', async (_what, path, text) => {
    expect((await fetch(`${relay.url}${path}`)).status).toBe(404);
    await said('NOT_FOUND', text);
  });

  test('a WebSocket whose proxy does not hand on that it is one', async () => {
    expect((await fetch(`${relay.url}/socket.io/?EIO=4&transport=websocket`)).status).toBe(400);
    await said('UNSUPPORTED_PROTOCOL', /the headers Upgrade and Connection/);
  });

  test('a request for a session of another relay, which a balancer that is not sticky sends here', async () => {
    const answer = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling&sid=of-another-relay`);
    expect(await answer.json()).toEqual({ code: 1, message: 'Session ID unknown' });
    await said('UNKNOWN_SESSION', /Session ID unknown.*is not sticky/);
  });

  test.each(['hello', '{"type":"join","group":1}'])('a plain WebSocket that says %s', async (text) => {
    const webSocket = new WebSocket(`${relay.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const closed = new Promise((resolve) => webSocket.once('close', resolve));
    webSocket.on('open', () => webSocket.send(text));
    await closed;
    await said('INVALID_PAYLOAD', /a connection begins with a CONNECT packet, use a Socket\.IO client/);
  });

  test('another namespace, before a connection has authenticated and afterwards, each by its name', async () => {
    const options = { transports: ['websocket'], forceNew: true };
    const { io } = await import('socket.io-client');
    const admin = io(`${relay.url}/admin`, { ...options, reconnection: false, auth: { token: await tokenFor('eve') } });
    expect(await refusal(admin)).toBe('NOT_FOUND');
    admin.close();
    await said('NOT_FOUND', /no namespace "\/admin"/);
    const other = io(`${relay.url}/other`, { ...options, reconnection: false });
    expect(await refusal(other)).toBe('NOT_FOUND');
    other.close();
    await said('NOT_FOUND', /no namespace "\/other"/);
    const alice = await relay.member('alice', ['1']);
    const ending = received<{ code: string }>(alice, 'session-ending');
    alice.io.engine.write('0/chat,{"token":"x"}');
    expect((await ending).code).toBe('INVALID_PAYLOAD');
    await said('INVALID_PAYLOAD', /no namespace "\/chat"/, 'warning');
  });

  test.each(['http://app.example.com', 'https://evil.test'])('a refused origin, by its name: %s', async (origin) => {
    await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
    await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
    const near = origin.includes('example') ? ' \\(which has https://app.example.com\\)$' : 'if it is yours$';
    await said('ORIGIN_FORBIDDEN', new RegExp(`"${origin}" is not allowed.*${near}`));
  });

  test('events that do not exist, with the nearest that does, whether they are answered or not (G51)', async () => {
    const alice = await relay.member('alice', ['1']);
    for (const [name, near] of [
      ['join_group', 'join-group'],
      ['markAsRead', 'mark-read'],
    ]) {
      alice.emit(name as string, { groupId: '1' });
      const answer = (await alice.emitWithAck(name as string, { groupId: '1' })) as { error: object };
      const message = `unable to accept "${name}"; there is no such event, perhaps "${near}" is meant`;
      expect(answer.error).toEqual({ code: 'UNKNOWN_EVENT', message, retryable: false });
      await said('UNKNOWN_EVENT', new RegExp(`"${name}".*"${near}"`), 'warning');
    }
    expect(await ask(alice, 'api-broadcast-message', {})).toBe('FORBIDDEN_EVENT');
    await said('FORBIDDEN_EVENT', /needs a connection of type api/, 'warning');
    expect(await ask(alice, 'refresh-token', { token: 'nonsense' })).toBe('TOKEN_INVALID');
    await said('TOKEN_INVALID', /no compact JWT/, 'warning');
  });

  test('events that do not exist, of a back end', async () => {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, subject: 'billing', scopes: ['broadcast'] });
    const api = relay.client({ token, type: 'api' });
    expect(await ask(api, 'api-broadcast', { groupId: '1', message: {} })).toBe('UNKNOWN_EVENT');
    await said('UNKNOWN_EVENT', /"api-broadcast".*"api-broadcast-message"/, 'warning');
  });

  test('and nothing is said of what looks for something else', async () => {
    const before = relay.logged.length;
    for (const path of ['/favicon.ico', '/wp-login.php', '/robots.txt']) {
      expect((await fetch(`${relay.url}${path}`)).status).toBe(404);
    }
    expect(relay.logged.slice(before).filter(({ level }) => level >= 40)).toEqual([]);
  });
});
