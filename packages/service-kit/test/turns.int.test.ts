import type { IncomingMessage, Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { openServer, until } from '@groupcast/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { CONNECTION_ARRIVED } from '../src/bound-requests.ts';
import { createBoundedServer } from '../src/http-server.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const HEAD = 'GET / HTTP/1.1\r\nHost: x\r\n';
const UPGRADE = `${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
/** More than there is time for in a turn of the event loop. */
const WORK_MS = 3;

function work(): void {
  const end = performance.now() + WORK_MS;
  while (performance.now() < end);
}

/** A server that takes long for each request, and notes whose it was. */
async function start(): Promise<{ server: Server; begun: string[] }> {
  const begun: string[] = [];
  const note = ({ url }: IncomingMessage, { remoteAddress }: Socket): void => {
    begun.push(`${remoteAddress}${url}`);
    work();
  };
  const server = createBoundedServer({}, (request, response) => {
    note(request, request.socket);
    response.end();
  });
  server.on('upgrade', (request, socket) => {
    note(request, socket as Socket);
    socket.end();
  });
  closing.push((await openServer(server)).close);
  return { server, begun };
}

async function tcp(server: Server, localAddress: string): Promise<Socket> {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
  closing.push(() => void socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

/** Everything that is written by `write` is there before the server looks at any of it: both are in this process. */
function atOnce(sockets: readonly Socket[], write: (socket: Socket, index: number) => void): void {
  for (const [index, socket] of sockets.entries()) write(socket, index);
  const end = performance.now() + 20;
  while (performance.now() < end);
}

test('those that were cut take no turn, while a crowd lets few requests begin', async () => {
  const { server, begun } = await start();
  let accepted = 0;
  server.on(CONNECTION_ARRIVED, () => {
    accepted += 1;
  });
  // One after the other: of a crowd they would not be read before others that come later.
  const flood: Socket[] = [];
  while (flood.length < 40) flood.push(await tcp(server, '127.0.0.1'));
  const client = await tcp(server, '127.0.0.1');
  let isOver = false;
  const { port } = server.address() as AddressInfo;
  function come(): void {
    if (isOver) return;
    const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
    socket.once('connect', () => socket.destroy()).once('close', come);
  }
  for (let crowd = 0; crowd < 100; crowd += 1) come();
  await until('a crowd', () => accepted > 200);
  // It reads what may be answered, or it would not see its end.
  for (const socket of flood) socket.resume().write(`${HEAD}\r\n`.repeat(100));
  await Promise.all(flood.map(async (socket) => new Promise((resolve) => socket.once('close', resolve))));
  const before = accepted;
  client.write(`${HEAD}\r\n`);
  await new Promise((resolve) => client.once('data', resolve));
  isOver = true;
  // The flood left 32 requests on each of its connections, and one begins for every eight connections that come.
  expect(begun.length).toBeLessThan(200);
  expect(accepted - before).toBeLessThan(2_000);
});

describe.each([
  ['requests', `${HEAD}\r\n`],
  ['upgrades', UPGRADE],
])('%s that come together', (_what, text) => {
  test('are begun by turns of the addresses they come from', async () => {
    const { server, begun } = await start();
    const crowd = await Promise.all(Array.from({ length: 30 }, async () => tcp(server, '127.0.0.2')));
    const other = await tcp(server, '127.0.0.3');
    atOnce([...crowd, other], (socket) => socket.write(text));
    await until('all of them', () => begun.length === 31);
    expect(begun.indexOf('127.0.0.3/')).toBeLessThan(5);
  });

  test('are not begun for clients that have gone meanwhile', async () => {
    const { server, begun } = await start();
    const accepted: Socket[] = [];
    server.on('connection', (socket) => accepted.push(socket));
    const crowd: Socket[] = [];
    for (let index = 0; index < 12; index += 1) crowd.push(await tcp(server, '127.0.0.2'));
    await until('them to be accepted', () => accepted.length === 12);
    atOnce(crowd, (socket, index) => socket.write(text.replace('/', `/${index}`)));
    await until('the first', () => begun.length > 0);
    const left = [...accepted.keys()].filter((index) => !begun.includes(`127.0.0.2/${index}`));
    expect(left.length).toBeGreaterThan(4);
    const [breaks, leaves, ...others] = left as [number, number, ...number[]];
    accepted[breaks]?.destroy(new Error('read ECONNRESET'));
    accepted[leaves]?.destroy();
    await until('the others', () => others.every((index) => begun.includes(`127.0.0.2/${index}`)));
    expect(begun).not.toContain(`127.0.0.2/${breaks}`);
    expect(begun).not.toContain(`127.0.0.2/${leaves}`);
  });
});

test('of one address, requests and upgrades take turns too', async () => {
  const { server, begun } = await start();
  const sockets: Socket[] = [];
  for (let index = 0; index < 20; index += 1) sockets.push(await tcp(server, '127.0.0.2'));
  atOnce(sockets, (socket, index) => {
    const text = index < 10 ? UPGRADE : `${HEAD}\r\n`;
    socket.write(text.replace('/', index < 10 ? `/upgrade${index}` : `/request${index}`));
  });
  await until('all of them', () => begun.length === 20);
  const firstHalf = begun.slice(4, 14);
  expect(firstHalf.filter((each) => each.includes('request')).length).toBeGreaterThan(2);
  expect(firstHalf.filter((each) => each.includes('upgrade')).length).toBeGreaterThan(2);
});

describe('a crowd whose connections are accepted before they are read', () => {
  function come(server: Server, count: number, text: (index: number) => string): void {
    const { port } = server.address() as AddressInfo;
    for (let index = 0; index < count; index += 1) {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => undefined);
      closing.push(() => void socket.destroy());
      socket.write(text(index));
    }
  }
  /** The connections that have arrived, and are not served yet. */
  function watchUnserved(server: Server): Set<Socket> {
    const unserved = new Set<Socket>();
    server.on(CONNECTION_ARRIVED, (socket: Socket) => unserved.add(socket));
    server.on('connection', (socket: Socket) => unserved.delete(socket));
    return unserved;
  }

  test('is read to its end, each connection in its turn', async () => {
    const { server, begun } = await start();
    const unserved = watchUnserved(server);
    let most = 0;
    server.on('connection', () => {
      most = Math.max(most, unserved.size);
    });
    come(server, 60, (index) => (index % 2 === 0 ? UPGRADE : `${HEAD}\r\n`));
    await until('all of them', () => begun.length === 60, 30_000);
    expect(most).toBeGreaterThan(5);
    expect(unserved.size).toBe(0);
  });

  test('holds up no server that closes', async () => {
    const { server } = await start();
    const unserved = watchUnserved(server);
    let served = 0;
    server.on('connection', () => {
      served += 1;
    });
    come(server, 100, () => 'GET');
    const servedBefore = await new Promise((resolve) => {
      server.on(CONNECTION_ARRIVED, () => {
        if (unserved.size > 5) resolve(served);
      });
    });
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    expect(served).toBe(servedBefore);
  });
});

test('of one address, requests keep their order, and the newest upgrade is first', async () => {
  const { server, begun } = await start();
  const sockets: Socket[] = [];
  for (let index = 0; index < 10; index += 1) sockets.push(await tcp(server, '127.0.0.2'));
  atOnce(sockets, (socket, index) => socket.write(UPGRADE.replace('/', `/${index}`)));
  await until('all upgrades', () => begun.length === 10);
  expect(begun.indexOf('127.0.0.2/9')).toBeLessThan(begun.indexOf('127.0.0.2/5'));
  begun.length = 0;
  const one = await tcp(server, '127.0.0.2');
  const pipelined = Array.from({ length: 10 }, (_, index) => `${HEAD.replace('/', `/${index}`)}\r\n`);
  one.write(pipelined.join(''));
  await until('all requests', () => begun.length === 10);
  expect(begun).toEqual(Array.from({ length: 10 }, (_, index) => `127.0.0.2/${index}`));
});

test('a client that sends much before its upgrade is answered is told why, and closed', async () => {
  const { server, begun } = await start();
  const socket = await tcp(server, '127.0.0.1');
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(UPGRADE + 'x'.repeat(20_000));
  await closed;
  expect(text).toMatch(/^HTTP\/1.1 400 /);
  expect(text).toContain('INVALID_PAYLOAD');
  expect(begun).toEqual([]);
  // A little is overlooked: it is handed on with the upgrade.
  (await tcp(server, '127.0.0.1')).write(`${UPGRADE}xyz`);
  await until('its answer', () => begun.length === 1);
});

test('requests that wait on one connection add no listeners to it', async () => {
  const { server, begun } = await start();
  const counts = new Set<number>();
  server.prependListener('request', ({ socket }) => counts.add(socket.listenerCount('error')));
  const socket = await tcp(server, '127.0.0.1');
  socket.write(`${HEAD}\r\n`.repeat(20));
  await until('all of them', () => begun.length === 20);
  expect(counts.size).toBe(1);
});
