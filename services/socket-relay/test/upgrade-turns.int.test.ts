import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket as NetSocket } from 'node:net';
import { until } from '@groupcast/testing';
import { afterEach, expect, test } from 'vitest';
import { takeTurnsWithUpgrades } from '../src/engine/upgrade-turns.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const UPGRADE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

async function start(onUpgrade: (request: IncomingMessage, socket: NetSocket) => void): Promise<Server> {
  const server = createServer();
  server.on('upgrade', onUpgrade);
  takeTurnsWithUpgrades(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => new Promise((resolve) => server.close(resolve)));
  return server;
}
function tcp(server: Server, localAddress: string): NetSocket {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
  closing.push(() => void socket.destroy());
  return socket;
}

test('who comes while another address opens many is answered before most of them', async () => {
  const answered: (string | undefined)[] = [];
  const server = await start((_request, socket) => {
    answered.push(socket.remoteAddress);
    socket.end();
  });
  // All in one turn, as after a turn that took long.
  const waiting: [IncomingMessage, NetSocket][] = [];
  const [turns] = server.listeners('upgrade');
  server.removeAllListeners('upgrade');
  server.on('upgrade', (request, socket) => waiting.push([request, socket as NetSocket]));
  for (let index = 0; index < 30; index += 1) tcp(server, '127.0.0.2').write(UPGRADE);
  await until('the crowd', () => waiting.length === 30);
  tcp(server, '127.0.0.1').write(UPGRADE);
  await until('everybody', () => waiting.length === 31);
  for (const [request, socket] of waiting) turns?.call(server, request, socket, Buffer.alloc(0));
  await until('all answers', () => answered.length === 31);
  expect(answered.indexOf('127.0.0.1')).toBeLessThan(3);
});

test('who leaves before its upgrade is answered is not answered, whether it says so or breaks', async () => {
  const answered: string[] = [];
  const server = await start((request, socket) => {
    answered.push(request.url ?? '');
    socket.end();
  });
  const [turns] = server.listeners('upgrade');
  server.removeAllListeners('upgrade');
  const waiting: [IncomingMessage, NetSocket][] = [];
  server.on('upgrade', (request, socket) => waiting.push([request, socket as NetSocket]));
  for (const path of ['/stays', '/breaks', '/leaves']) tcp(server, '127.0.0.1').write(UPGRADE.replace('/', path));
  await until('all of them', () => waiting.length === 3);
  for (const [request, socket] of waiting) {
    turns?.call(server, request, socket, Buffer.alloc(0));
    if (request.url === '/breaks') socket.destroy(new Error('read ECONNRESET'));
    if (request.url === '/leaves') socket.destroy();
  }
  await until('the answer', () => answered.length > 0);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(answered).toEqual(['/stays']);
});

test('who sends much before its upgrade is answered is told why, and closed', async () => {
  let answered = 0;
  const server = await start((_request, socket) => {
    answered += 1;
    socket.end();
  });
  const socket = tcp(server, '127.0.0.1');
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(UPGRADE + 'x'.repeat(20_000));
  await closed;
  expect(text).toMatch(/^HTTP\/1.1 400 /);
  expect(text).toContain('INVALID_PAYLOAD');
  expect(answered).toBe(0);
  // A little is overlooked: it is handed on with the upgrade.
  tcp(server, '127.0.0.1').write(`${UPGRADE}xyz`);
  await until('its answer', () => answered === 1);
});
