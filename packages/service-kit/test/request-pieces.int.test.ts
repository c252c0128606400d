import { openRaw, openServer, type RawConnection, until } from '@groupcast/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createBoundedServer } from '../src/http-server.ts';

const closing: (() => Promise<unknown> | void)[] = [];
let port: number;
let pieces: number;
let bodies: number[];

beforeEach(async () => {
  pieces = 0;
  bodies = [];
  const server = createBoundedServer({}, (request, response) => {
    if (request.url === '/refused') {
      response.writeHead(401).end();
      return;
    }
    let bytes = 0;
    request.on('data', (piece: Buffer) => {
      pieces += 1;
      bytes += piece.length;
    });
    request.on('end', () => {
      bodies.push(bytes);
      response.end('read');
    });
    request.on('error', () => undefined);
  });
  const opened = await openServer(server);
  ({ port } = opened);
  closing.push(opened.close);
});
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function open(): RawConnection {
  const connection = openRaw(port);
  closing.push(() => void connection.socket.destroy());
  return connection;
}

const head = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;

describe('a body in chunks of one byte', () => {
  test('ends its connection, and few of them are read', async () => {
    const { socket, isClosed } = open();
    socket.write(head('/'));
    socket.write('1\r\na\r\n'.repeat(100_000));
    await until('the end', isClosed);
    expect(pieces).toBeLessThanOrEqual(32);
  });

  test('leaves its parser, which Node uses again, as it was', async () => {
    for (let count = 0; count < 3; count += 1) {
      const { socket, isClosed } = open();
      socket.write(head('/') + '1\r\na\r\n'.repeat(10_000));
      await until('the end', isClosed);
    }
    const next = Array.from({ length: 3 }, open);
    for (const { socket } of next) socket.write(`${head('/')}3\r\nabc\r\n0\r\n\r\n`);
    await until('their bodies', () => bodies.length === 3);
    expect(bodies).toEqual([3, 3, 3]);
  });

  test('is not waited for once its request was refused', async () => {
    const { socket, text, isClosed } = open();
    socket.write(head('/refused'));
    socket.write('1\r\na\r\n'.repeat(10));
    await until('the end', isClosed);
    expect(text()).toContain('401');
  });
});

test.each([
  ['in chunks', 32, head('/'), '1\r\na\r\n', '0\r\n\r\n'],
  ['of a known length', 256, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 511\r\n\r\n', 'a', 'a'.repeat(256)],
])('a body %s may come in %i pieces of one byte', async (_what, free, begin, piece, end) => {
  const { socket, text } = open();
  socket.setNoDelay(true).write(begin);
  for (let count = 1; count <= (end.startsWith('0') ? free : free - 1); count += 1) {
    socket.write(piece);
    await until('the piece', () => pieces >= count);
  }
  socket.write(end);
  await until('the answer', () => text().endsWith('read'));
});

test('a body of some megabytes in the pieces of a network is read to its end', async () => {
  const { socket, text } = open();
  socket.write(head('/'));
  const piece = 'x'.repeat(1_400);
  for (let count = 0; count < 6_000; count += 1) socket.write(`578\r\n${piece}\r\n`);
  socket.write('0\r\n\r\n');
  await until('the answer', () => text().endsWith('read'));
  expect(bodies).toEqual([6_000 * 1_400]);
});
