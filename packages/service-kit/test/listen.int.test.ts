import { createServer, get, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Listening, listenOn } from '../src/index.ts';

const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
const hasIpv6 = addresses.some(({ address }) => address === '::1');

describe.skipIf(!hasIpv6)('a server on localhost', () => {
  let server: Server;
  let listening: Listening;
  let waiting: ServerResponse[];
  let sockets: Socket[];
  beforeEach(async () => {
    waiting = [];
    sockets = [];
    server = createServer((_request, response) => void waiting.push(response));
    listening = await listenOn(server, { host: 'localhost', port: 0 });
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
    server.close();
    server.closeAllConnections();
  });

  async function connectTo(host: string): Promise<'open' | 'closed'> {
    const socket = connect({ host, port: listening.port });
    sockets.push(socket);
    // One that is over the limit is accepted and ended at once: it is told apart by whether its request is answered.
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    return new Promise((resolve) => {
      socket.once('error', () => resolve('closed')).once('close', () => resolve('closed'));
      server.once('request', () => resolve('open'));
    });
  }

  test.each(['127.0.0.1', '::1'])(
    'closes when the last request that came to %s is answered, and not before',
    async (host) => {
      const asked = new Promise<void>((resolve) => server.once('request', () => resolve()));
      const answered = new Promise<number | undefined>((resolve, reject) => {
        get({ host, port: listening.port, agent: false }, (response) => {
          response.resume().once('end', () => resolve(response.statusCode));
        }).once('error', reject);
      });
      await asked;
      const events: string[] = [];
      listening.close();
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          events.push('closed');
          resolve();
        });
      });
      // Long enough for a server that has nothing to wait for: it closes in the next turns of the event loop.
      for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
      events.push('answering');
      waiting[0]?.end('done');
      expect(await answered).toBe(200);
      await closed;
      expect(events).toEqual(['answering', 'closed']);
    },
  );

  test.each([
    ['127.0.0.1', '::1'],
    ['::1', '127.0.0.1'],
    ['::1', '::1'],
  ])('has one limit for both families: after one on %s none on %s', async (first, second) => {
    server.maxConnections = 1;
    expect(await connectTo(first)).toBe('open');
    expect(await connectTo(second)).toBe('closed');
    const closed = new Promise((resolve) => sockets[0]?.once('close', resolve));
    sockets[0]?.destroy();
    await closed;
    // The server hears of it a moment later.
    await expect.poll(async () => connectTo(second)).toBe('open');
  });
});
