import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket as Wire } from 'node:net';
import {
  askRaw,
  freePort,
  openRaw,
  openServer,
  received,
  type ServiceProcess,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { joinSockets } from '../src/relay-proxy/joined-sockets.ts';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const WAYS: [string, string[], string][] = [
  ['polling only', ['polling'], 'polling'],
  ['websocket only', ['websocket'], 'websocket'],
  ['polling, then an upgrade', ['polling', 'websocket'], 'websocket'],
];
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

async function connect(url: string, options: Partial<ManagerOptions & SocketOptions> = {}): Promise<Socket> {
  const auth = { token: await tokenFor('alice', ['g']) };
  const socket = io(url, { forceNew: true, auth, reconnectionDelay: 20, reconnectionDelayMax: 50, ...options });
  sockets.push(socket);
  return socket;
}

async function metricOf(api: ApiUnderTest, name: string): Promise<number> {
  const text = await (await fetch(`${api.internalUrl}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`groupcast_api_${name} `));
  return Number(line?.split(' ').at(-1) ?? 'NaN');
}

describe('with a relay behind the API’s port', () => {
  let relay: ServiceProcess & { internalUrl: string };
  let relayPort: string;
  let api: ApiUnderTest;
  const wsPath = { RELAY_WS_PATH: '/ws', PUBLIC_BROADCAST_API: '1' };
  const apiEnv = (): Record<string, string> => ({
    RELAY_URL: `http://127.0.0.1:${relayPort}`,
    API_RELAY_PROXY: '1',
    ...wsPath,
  });
  const startRelay = async (): Promise<void> => {
    relay = await startRelayProcess({ RELAY_PORT: relayPort, SHUTDOWN_DRAIN_SECONDS: '0', ...wsPath });
  };
  beforeAll(async () => {
    relayPort = String(await freePort());
    await startRelay();
    api = await startApiUnderTest(apiEnv());
  });
  afterAll(async () => {
    await api.close();
    await relay.stop();
  });

  test.each(WAYS)('a stock client with %s gets what the relay would give it (G75)', async (_, transports, ends) => {
    const direct = await connect(relay.url, { transports });
    const welcome = await received(direct, 'joined-groups');
    const proxied = await connect(api.url, { transports });
    expect(await received(proxied, 'joined-groups')).toEqual(welcome);
    await until(`the transport ${ends}`, () => proxied.io.engine.transport.name === ends);
    const asked = { groupId: 'g' };
    const answer: unknown = await proxied.emitWithAck('join-group', asked);
    expect(answer).toMatchObject({ ok: true, groupId: 'g' });
    expect(answer).toEqual(await direct.emitWithAck('join-group', asked));
    expect(await proxied.emitWithAck('join-group', { groupId: 'foreign' })).toMatchObject({
      error: { code: 'NOT_A_MEMBER' },
    });
  });

  test.each([
    ['a foreign origin', { origin: 'https://evil.test' }, '/socket.io/?EIO=4&transport=polling', 'GET'],
    ['an allowed origin', { origin: 'http://localhost:5173' }, '/socket.io/?EIO=4&transport=polling&sid=gone', 'GET'],
    [
      'a preflight',
      { origin: 'http://localhost:5173', 'access-control-request-method': 'POST' },
      '/socket.io/?EIO=4',
      'OPTIONS',
    ],
    ['an old client', {}, '/socket.io/?EIO=3&transport=polling', 'GET'],
    ['no Socket.IO', {}, '/socket.io/', 'GET'],
    ['a path without its slash', {}, '/socket.io?EIO=4', 'GET'],
    ['the raw door without an upgrade', {}, '/ws?token=x', 'GET'],
    ['a broadcast without a token', {}, '/v1/broadcast', 'POST'],
  ])('%s is answered as by the relay, with its headers (G75)', async (_, headers, path, method) => {
    const answers = await Promise.all(
      [relay.url, api.url].map(async (url) => {
        const answer = await fetch(`${url}${path}`, { method, headers });
        const ofAHop = ['date', 'connection', 'keep-alive', 'upgrade'];
        const kept = [...answer.headers].filter(([name]) => !ofAHop.includes(name));
        return { status: answer.status, headers: kept, body: await answer.text() };
      }),
    );
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[1]?.headers.map(([name]) => name)).not.toContain('x-frame-options');
  });

  test('a back end broadcasts through it, with PUBLIC_BROADCAST_API (G75)', async () => {
    const member = await connect(api.url);
    await received(member, 'joined-groups');
    const heard = received(member, 'new-message');
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, scopes: ['broadcast'], subject: 'test' });
    const message = { id: 'm1', text: 'x'.repeat(60_000) };
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ groupId: 'g', message });
    const answer = await fetch(`${api.url}/v1/broadcast`, { method: 'POST', headers, body });
    expect(await answer.json()).toMatchObject({ ok: true, id: 'm1', recipients: { connections: 1 } });
    expect(await heard).toMatchObject(message);
    // Java's HTTP client wishes for HTTP/2 in every request.
    const raw = openRaw(api.port);
    const wish = 'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB';
    const named = `host: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json`;
    raw.socket.write(
      `POST /v1/broadcast HTTP/1.1\r\n${wish}\r\n${named}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until('an answer', () => raw.text().includes('"ok":true'));
    raw.socket.destroy();
  });

  test('a plain WebSocket gets what the relay would give it (G75)', async () => {
    const token = await tokenFor('alice', ['g']);
    const heard = await Promise.all(
      [relay.url, api.url].map(async (url) => {
        const webSocket = new WebSocket(`${url.replace('http', 'ws')}/ws`, ['groupcast', `groupcast.bearer.${token}`]);
        const frames: Record<string, unknown>[] = [];
        webSocket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Record<string, unknown>));
        await until('the groups', () => frames.some(({ type }) => type === 'joined-groups'));
        webSocket.send('{"type":"join-group","id":1,"groupId":"foreign"}');
        await until('the answer', () => frames.some(({ type }) => type === 'ack'));
        webSocket.send('no JSON');
        const code = await new Promise((resolve) => webSocket.once('close', resolve));
        return {
          protocol: webSocket.protocol,
          code,
          // The other one of the two comes and goes.
          types: frames.map(({ type }) => type).filter((type) => type !== 'presence'),
          answer: frames.find(({ id }) => id === 1),
        };
      }),
    );
    expect(heard[1]).toEqual(heard[0]);
    expect(heard[1]).toMatchObject({ protocol: 'groupcast', code: 1008, answer: { error: { code: 'NOT_A_MEMBER' } } });
    // A path below it is the API's, which has none.
    const below = await fetch(`${api.url}/ws/x`);
    expect([below.status, await below.json()]).toMatchObject([404, { error: { code: 'NOT_FOUND' } }]);
  });

  test('an upgrade from a foreign origin is refused by the relay itself (G75)', async () => {
    const foreign = { transports: ['websocket'], extraHeaders: { origin: 'https://evil.test' }, reconnection: false };
    await received(await connect(api.url, foreign), 'connect_error');
    await until('the relay to say so', () => relay.output().includes('ORIGIN_FORBIDDEN'));
    const own = { ...foreign, extraHeaders: { origin: 'http://localhost:5173' } };
    await received(await connect(api.url, own), 'joined-groups');
  });

  test('proxied requests are no requests of a user, and everything else is the API’s as before', async () => {
    const counted = async (): Promise<string[]> => {
      const text = await (await fetch(`${api.internalUrl}/metrics`)).text();
      return text.split('\n').filter((line) => /^groupcast_api_request_seconds_count(?!.*metrics)/.test(line));
    };
    expect((await api.request('alice', 'GET', '/api/messaging/groups')).status).toBe(200);
    const before = await counted();
    expect(before).not.toEqual([]);
    await received(await connect(api.url, { transports: ['polling'] }), 'joined-groups');
    expect(await counted()).toEqual(before);
    for (const path of ['/socket.iox/', '/socket.io/../livez', '/socket.io/%2e%2e/livez']) {
      expect([path, await askRaw({ port: api.port, path })]).toEqual([path, [404, 'NOT_FOUND']]);
    }
  });

  test('a request that asks for another protocol, as Java’s do, is answered as the plain one that it also is', async () => {
    const raw = openRaw(api.port);
    const body = JSON.stringify({ name: 'x'.repeat(3_000) });
    const head = ['POST /api/messaging/groups HTTP/1.1', 'Host: x', 'Connection: Upgrade, HTTP2-Settings'];
    const rest = ['Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAIAAAAB', `Content-Length: ${body.length}`, '', body];
    raw.socket.write([...head, 'Content-Type: application/json', ...rest].join('\r\n'));
    await until('an answer', () => raw.text().includes('TOKEN_MISSING'));
    expect(raw.text()).toMatch(/^HTTP\/1.1 401 /);
    raw.socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('the next one', () => raw.text().split('HTTP/1.1 200 ').length === 2);
    raw.socket.destroy();
  });

  test('a token names the URL by which the API was reached, or the one that is configured', async () => {
    const { body } = await api.request('alice', 'POST', '/api/realtime/token');
    expect(body['relayUrl']).toBe(api.url);
    const socket = await connect(String(body['relayUrl']), { auth: { token: body['token'] } });
    await received(socket, 'joined-groups');
  });

  test.each(WAYS.slice(0, 2))(
    'while the relay restarts, clients with %s come back by themselves (G75)',
    async (_, transports) => {
      const socket = await connect(api.url, { transports });
      await received(socket, 'joined-groups');
      const refused = received<Error>(socket.io as never, 'reconnect_error');
      await relay.stop();
      await refused;
      const welcomes: unknown[] = [];
      socket.on('joined-groups', (welcome) => welcomes.push(welcome));
      expect(await askRaw({ port: api.port, path: '/socket.io/?EIO=4&transport=polling' })).toEqual([
        503,
        'RELAY_UNAVAILABLE',
      ]);
      await startRelay();
      const welcome = await until('the welcome', () => welcomes.at(-1));
      expect(welcome).toMatchObject({ groups: [{ groupId: 'g' }] });
    },
  );

  test.each(WAYS.slice(0, 2))(
    'while the API restarts, clients with %s come back by themselves (G75)',
    async (_, transports) => {
      const socket = await connect(api.url, { transports });
      await received(socket, 'joined-groups');
      const gone = received<string>(socket, 'disconnect');
      await api.close();
      expect(await gone).toMatch(/^transport (?:close|error)$/);
      let isBack = false;
      socket.on('joined-groups', () => {
        isBack = true;
      });
      api = await startApiUnderTest({ ...apiEnv(), API_PORT: String(api.port) });
      await until('the client to be back', () => isBack);
    },
  );
});

/** A server in place of the relay that answers as a test says. */
interface Stub {
  server: Server;
  url: string;
  close: () => Promise<void>;
}
async function startStub(answer?: (request: IncomingMessage, response: ServerResponse) => void): Promise<Stub> {
  const server = createServer(answer);
  const { port, close } = await openServer(server);
  return { server, url: `http://127.0.0.1:${port}`, close };
}

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

test('a side that reads nothing for a minute is cut, and so is the other one, which cannot be heard meanwhile', async () => {
  const pairs: Wire[] = [];
  const server = createTcpServer((wire) => void pairs.push(wire.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const [reader, writer] = [openRaw(port), openRaw(port)];
  await until('both', () => pairs.length === 2);
  const [a, b] = pairs;
  reader.socket.removeAllListeners('data').pause();
  let closed = false;
  const joined = joinSockets(a as Wire, b as Wire, () => {
    closed = true;
  });
  joined.cutStalled(0);
  writer.socket.write(Buffer.alloc(64 * 1024 * 1024));
  reader.socket.write('also');
  await until('no more to be taken', () => (a?.writableLength ?? 0) > 0 || (b?.writableLength ?? 0) > 0);
  await until('silence', () => [a, b].some((each) => each?.writableNeedDrain));
  let now = 1;
  joined.cutStalled(now);
  expect(closed).toBe(false);
  await until('the cut', () => {
    joined.cutStalled((now += 60_001));
    return closed;
  });
  for (const { socket } of [reader, writer]) socket.destroy();
  server.close();
});

describe('bounds of the proxy', () => {
  let stub: Stub;
  let api: ApiUnderTest;
  const wires: Wire[] = [];
  const requests: IncomingMessage[] = [];
  let answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => void response.end('ok');
  beforeAll(async () => {
    stub = await startStub((asked, response) => answer(asked, response));
    stub.server.on('upgrade', (asked: IncomingMessage, wire: Wire) => {
      // The API connects to its relay itself as well, now and then.
      if (asked.headers['x-forwarded-for'] === undefined) {
        wire.destroy();
        return;
      }
      requests.push(asked);
      wires.push(wire.on('error', () => undefined));
      wire.write(SWITCH);
    });
    api = await startApiUnderTest({ RELAY_URL: stub.url, API_RELAY_PROXY: '1', MAX_CONNECTIONS: '20' });
  });
  afterEach(async () => {
    for (const wire of wires.splice(0)) wire.destroy();
    requests.splice(0);
    answer = (_, response) => void response.end('ok');
    await until('nothing to be open', async () => (await metricOf(api, 'relay_proxy_open{of="sockets"}')) === 0);
  });
  afterAll(async () => {
    await api.close();
    for (const wire of wires) wire.destroy();
    await stub.close();
  });

  async function upgraded(): Promise<{ client: ReturnType<typeof openRaw>; wire: Wire }> {
    const client = openRaw(api.port);
    const index = wires.length;
    client.socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: chat.test\r\n${UPGRADE}\r\n\r\n`);
    const wire = await until('the upgrade', () => (client.text().includes(' 101 ') ? wires[index] : undefined));
    return { client, wire };
  }

  test('without PUBLIC_BROADCAST_API the broadcast API is not passed on, and the answer says where it is', async () => {
    const refused = await fetch(`${api.url}/v1/broadcast`, { method: 'POST', body: '{}' });
    const { error } = (await refused.json()) as { error: { code: string; message: string } };
    expect([refused.status, error.code]).toEqual([404, 'NOT_FOUND']);
    expect(error.message).toContain('RELAY_INTERNAL_PORT');
    expect(requests).toEqual([]);
  });

  test('a client that does not read leaves what is unread with the relay, and gets all of it when it reads', async () => {
    const total = 256 * 1024 * 1024;
    const { client, wire } = await upgraded();
    client.socket.removeAllListeners('data').pause();
    const piece = Buffer.alloc(1024 * 1024);
    for (let sent = 0; sent < total; sent += piece.length) wire.write(piece);
    const taken = (): number => wire.bytesWritten - wire.writableLength;
    let [last, same] = [0, 0];
    await until('nothing more to be taken', () => {
      [last, same] = taken() === last ? [last, same + 1] : [taken(), 0];
      return last > 0 && same === 50;
    });
    expect(last).toBeLessThan(total / 4);
    let got = 0;
    client.socket.on('data', (data: Buffer) => {
      got += data.length;
    });
    client.socket.resume();
    await until('all of it', () => got === total);
    client.socket.destroy();
  });

  test('the relay is told where a client is from, and gets its origin, tokens and cookies as they are', async () => {
    const [asked] = await Promise.all([
      new Promise<IncomingMessage>((resolve) => {
        answer = (each, response) => {
          resolve(each);
          response.end('ok');
        };
      }),
      askRaw({
        port: api.port,
        path: '/socket.io/?EIO=4',
        headers: {
          host: 'chat.test',
          origin: 'https://app.test',
          cookie: 'token=1',
          'x-forwarded-for': '203.0.113.7',
          connection: 'x-secret-hop',
          'x-secret-hop': '1',
        },
      }),
    ]);
    expect(asked.headers).toMatchObject({
      origin: 'https://app.test',
      cookie: 'token=1',
      host: stub.url.slice('http://'.length),
      'x-forwarded-for': '203.0.113.7, 127.0.0.1',
      'x-forwarded-host': 'chat.test',
    });
    expect(asked.headers['x-secret-hop']).toBeUndefined();
  });

  test('a body in chunks stays one request, whatever its method', async () => {
    const seen: string[] = [];
    answer = (each, response) => {
      let body = '';
      each.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      each.on('end', () => {
        seen.push(`${each.method} ${each.url} ${body}`);
        response.end('ok');
      });
    };
    const inner = 'GET /internal HTTP/1.1\r\nHost: x\r\n\r\n';
    for (const method of ['GET', 'POST']) {
      const asking = request({
        port: api.port,
        host: '127.0.0.1',
        method,
        path: '/socket.io/?a',
        headers: { 'transfer-encoding': 'chunked' },
      });
      asking.end(inner);
      expect((await received<IncomingMessage>(asking, 'response')).resume().statusCode).toBe(200);
    }
    expect(seen).toEqual([`GET /socket.io/?a ${inner}`, `POST /socket.io/?a ${inner}`]);
  });

  test('a poll whose client goes is ended at the relay as well', async () => {
    const ended = new Promise<void>((resolve) => {
      answer = (each) => void each.socket.once('close', () => resolve());
    });
    const client = openRaw(api.port);
    client.socket.write('GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('the poll', async () => (await metricOf(api, 'relay_proxy_open{of="requests"}')) === 1);
    client.socket.destroy();
    await ended;
  });

  test('bytes before an end arrive, in both directions', async () => {
    const first = await upgraded();
    let heard = '';
    first.wire.on('data', (data: Buffer) => {
      heard += data.toString();
    });
    first.client.socket.end('last words');
    await until('the words of the client', () => heard === 'last words' && first.wire.readableEnded);
    const second = await upgraded();
    second.wire.end('good bye');
    await until('the words of the relay', () => second.client.text().endsWith('good bye') && second.client.isClosed());
  });

  test('more sockets than may be passed on are refused, and the API serves its own requests on', async () => {
    const max = await metricOf(api, 'relay_proxy_open{of="max"}');
    const open = [];
    for (let n = 0; n < max; n += 1) open.push(await upgraded());
    const refused = openRaw(api.port);
    refused.socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n\r\n`);
    await until('a refusal', () => refused.text().includes('TOO_MANY_CONNECTIONS'));
    await until('its end', () => refused.isClosed());
    expect((await api.request('alice', 'GET', '/api/messaging/groups')).status).toBe(200);
    expect(open.map(({ client }) => client.isClosed())).toEqual(open.map(() => false));
    for (const { client } of open) client.socket.destroy();
    await until('room again', async () => (await metricOf(api, 'relay_proxy_open{of="sockets"}')) === 0);
    (await upgraded()).client.socket.destroy();
  });
});
