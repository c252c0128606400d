import { type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type HeldConnections, holdConnections, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CONNECTION_ARRIVED } from '../src/bound-requests.ts';
import { type ConnectionLimit, type ConnectionLimitOptions, createConnectionLimit } from '../src/connection-limit.ts';
import { createBoundedServer } from '../src/http-server.ts';

const GET = 'GET / HTTP/1.1\r\nhost: test\r\n\r\n';
const UPGRADE = 'GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n';

let server: Server;
let limit: ConnectionLimit;
let held: HeldConnections[];
let upgraded: Socket[];
let counts: Record<string, number>;
let logged: string[];
beforeEach(() => {
  held = [];
  upgraded = [];
  counts = {};
  logged = [];
});
afterEach(async () => {
  for (const each of held) each.close();
  server.closeAllConnections();
  for (const socket of upgraded) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

async function start(listener: RequestListener, options: Partial<ConnectionLimitOptions> = {}): Promise<void> {
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const tally = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  server = createBoundedServer({}, listener);
  limit = createConnectionLimit({
    max: 3,
    port: 'public',
    log,
    onRefused: () => tally('refused'),
    onClosed: tally,
    onFull: () => tally('full'),
    sweepMs: 20,
    ...options,
  });
  server.on('upgrade', (_request, socket) => {
    upgraded.push(socket as Socket);
    socket.on('error', () => undefined).write('HTTP/1.1 101 Upgraded\r\n\r\n');
  });
  limit.guard(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}
async function hold(count: number, say?: string): Promise<HeldConnections> {
  const { port } = server.address() as AddressInfo;
  const connections = await holdConnections(port, count, say);
  held.push(connections);
  return connections;
}
/** Comes again until it is answered: a connection that makes room may have to be there for a while first. */
async function letIn(): Promise<HeldConnections> {
  return until('a place', async () => {
    const one = await hold(1, GET);
    await until('an answer or an end', () => one.answers() !== '' || one.open() === 0);
    return one.answers() === '' ? undefined : one;
  });
}

describe('a server that bears two connections without a request', () => {
  test('closes the oldest for a third, also where half a head has come, and leaves those alone that had one (G37)', async () => {
    await start((_request, response) => void response.end('served'), { max: 20, maxSilent: 2 });
    const keptAlive = await letIn();
    const upgrade = await hold(1, UPGRADE);
    await until('its upgrade', () => upgraded.length === 1);
    const first = await hold(1, 'GET / HT');
    const second = await hold(1);
    await until('both', () => limit.sockets.size === 4);
    const third = await hold(1);
    await until('the end of the first', () => first.open() === 0);
    expect([keptAlive.open(), upgrade.open(), second.open(), third.open()]).toEqual([1, 1, 1, 1]);
    expect(counts).toEqual({ 'made-room': 1, full: 1 });
    expect(logged.filter((line) => line.includes('without a request'))).toHaveLength(1);
    await letIn();
    expect(second.open()).toBe(0);
  });

  test('closes none of a crowd whose requests it has not read yet', async () => {
    await start((_request, response) => void response.end('served'), { max: 1_000, maxSilent: 8 });
    const crowd = await hold(400, GET);
    await until('all answers', () => crowd.answers().split('served').length === 401 || crowd.open() < 400);
    expect([crowd.open(), crowd.answers().split('served').length - 1, counts]).toEqual([400, 400, {}]);
  });

  test('closes one of a crowd that it has not come to read in time, and says so', async () => {
    await start((_request, response) => void response.end('served'), { max: 20, readTimeoutMs: 50 });
    const read = await hold(1);
    await until('it', () => limit.sockets.size === 1);
    // A crowd that is as large as that lasts too long for a test: this one is accepted as one of its connections, and never has a turn.
    const crowd = createServer({ pauseOnConnect: true }, (socket) => server.emit(CONNECTION_ARRIVED, socket));
    await new Promise<void>((resolve) => crowd.listen(0, '127.0.0.1', resolve));
    const unread = await holdConnections((crowd.address() as AddressInfo).port, 1, GET);
    held.push(unread);
    await until('the end of the other', () => unread.open() === 0);
    expect([read.open(), counts]).toEqual([1, { 'made-room': 1, full: 1 }]);
    expect(logged.filter((line) => line.includes('than it can read'))).toHaveLength(1);
    await new Promise((resolve) => crowd.close(resolve));
  });

  test('counts one no more once it has closed', async () => {
    await start((_request, response) => void response.end('served'), { max: 20, maxSilent: 2 });
    const gone = await hold(2);
    await until('both', () => limit.sockets.size === 2);
    gone.close();
    await until('their end', () => limit.sockets.size === 0);
    const next = await hold(2);
    await until('the next', () => limit.sockets.size === 2);
    expect(next.open()).toBe(2);
    expect(counts).toEqual({});
  });
});

describe('a server with three places', () => {
  test('refuses a fourth connection while all three are served, and serves it when one has left (G37)', async () => {
    const waiting: ServerResponse[] = [];
    await start((_request, response) => {
      if (waiting.push(response) > 3) response.end('served');
    });
    const served = await hold(3, GET);
    await until('three requests', () => waiting.length === 3);
    const fourth = await hold(5, GET);
    await until('the end of the others', () => fourth.open() === 0);
    expect(served.open()).toBe(3);
    expect(limit.sockets.size).toBe(3);
    expect(counts).toEqual({ refused: 5, full: 1 });
    // Once a minute.
    expect(logged.filter((line) => line.includes('TOO_MANY_CONNECTIONS'))).toHaveLength(1);
    served.sockets[0]?.destroy();
    await until('a free place', () => limit.sockets.size === 2);
    await letIn();
  });

  test('lets one in for another that says nothing, before one that is kept alive, and never for one that is served', async () => {
    const waiting: ServerResponse[] = [];
    await start((request, response) => {
      if (request.method === 'POST') waiting.push(response);
      else response.end('served');
    });
    const served = await hold(1, GET.replace('GET', 'POST'));
    await until('the request', () => waiting.length === 1);
    const keptAlive = await letIn();
    const silent = await hold(1);
    const another = await letIn();
    expect(silent.open()).toBe(0);
    expect([served.open(), keptAlive.open(), another.open()]).toEqual([1, 1, 1]);
    await letIn();
    expect([served.open(), keptAlive.open()]).toEqual([1, 0]);
    expect(counts['made-room']).toBe(2);
  });

  test('lets one in for a request that does not arrive', async () => {
    let posts = 0;
    await start((request, response) => {
      if (request.method === 'GET') response.end('served');
      else posts += 1;
    });
    const slow = await hold(3, 'POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf');
    await until('three requests', () => posts === 3);
    await letIn();
    expect(slow.open()).toBe(2);
  });

  test('lets one in for an upgraded connection that nobody has settled, and not for a settled one', async () => {
    await start((_request, response) => void response.end('served'));
    const settled = await hold(2, UPGRADE);
    await until('both', () => upgraded.length === 2);
    for (const socket of upgraded) limit.settle(socket);
    const stranger = await hold(1, UPGRADE);
    await until('the third', () => upgraded.length === 3);
    await letIn();
    expect([settled.open(), stranger.open()]).toEqual([2, 0]);
  });

  test('counts a connection that another process accepted, and forgets one that it was given', async () => {
    await start((_request, response) => void response.end('served'));
    await hold(2, UPGRADE);
    await until('both', () => upgraded.length === 2);
    const [socket] = upgraded as [Socket];
    limit.release(socket);
    expect(limit.sockets.size).toBe(1);
    expect(limit.admit(socket)).toBe(true);
    expect(limit.sockets.size).toBe(2);
    socket.destroy();
    await until('its end', () => limit.sockets.size === 1);
  });
});

describe('a connection gives up its place', () => {
  test('when it does not read its answer', async () => {
    const much = Buffer.alloc(64 * 1_048_576);
    await start((_request, response) => void response.end(much), { answerTimeoutMs: 200 });
    const slow = await hold(1);
    const socket = slow.sockets[0] as Socket;
    socket.pause();
    socket.write(GET);
    await until('its end', () => limit.sockets.size === 0);
    expect(counts).toEqual({ 'slow-reader': 1 });
  });

  test('when it does not close what we have ended', async () => {
    await start(() => undefined, { closeTimeoutMs: 200 });
    await hold(1, UPGRADE);
    await until('the upgrade', () => upgraded.length === 1);
    upgraded[0]?.end();
    await until('its end', () => limit.sockets.size === 0);
    expect(counts).toEqual({ 'half-closed': 1 });
  });

  test('and not while its answer is on the way, however long it takes to begin', async () => {
    let answer: ServerResponse | undefined;
    await start(
      (_request, response) => {
        answer = response;
      },
      { answerTimeoutMs: 50 },
    );
    const patient = await hold(1, GET);
    await until('the request', () => answer);
    answer?.writeHead(200).write('a beginning');
    await until('the beginning', () => patient.answers().includes('a beginning'));
    // A second connection has been swept as often as it took for its own to be closed.
    const slow = await hold(1, UPGRADE);
    await until('the upgrade', () => upgraded.length === 1);
    expect(slow.open()).toBe(1);
    answer?.end('the end');
    await until('the end', () => patient.answers().includes('the end'));
    expect(counts).toEqual({});
  });
});

test('a server that cannot accept goes on, and says so', async () => {
  await start((_request, response) => void response.end('served'));
  server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
  expect(logged.filter((line) => line.includes('unable to accept a connection'))).toHaveLength(1);
  await letIn();
});

test('a request that waits for its turn keeps its place', async () => {
  let begun = 0;
  let hasRoom: boolean | undefined;
  await start((_request, response) => {
    begun += 1;
    // Long enough for the requests that came with it to wait for a turn of their own.
    for (const end = performance.now() + 5; performance.now() < end; );
    // While the second one is begun, the third one waits.
    if (begun === 2) hasRoom = limit.makeRoom();
    response.write('begun');
  });
  const { port } = server.address() as AddressInfo;
  const sockets = await Promise.all(
    [1, 2, 3].map(async () => {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      await new Promise((resolve) => socket.once('connect', resolve));
      return socket;
    }),
  );
  await until('them to be accepted', () => limit.sockets.size === 3);
  for (const socket of sockets) socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  for (const end = performance.now() + 20; performance.now() < end; );
  await until('all of them', () => begun === 3);
  for (const socket of sockets) socket.destroy();
  expect(hasRoom).toBe(false);
});
