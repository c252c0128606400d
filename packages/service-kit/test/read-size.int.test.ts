import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { until } from '@groupcast/testing';
import { afterEach, expect, test } from 'vitest';
import { readLittleOf, readMuch } from '../src/read-size.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const UPGRADE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const LITTLE = 4_096;

/** A server that reads little, the socket of the first upgrade on it, and its client. */
async function upgraded(): Promise<{ here: Socket; there: Socket; pieces: Buffer[] }> {
  const server = await listen(createServer());
  const accepted = new Promise<Socket>((resolve) =>
    server.once('upgrade', (_request, socket) => resolve(socket as Socket)),
  );
  const there = client(server);
  there.write(UPGRADE);
  const here = await accepted;
  closing.push(() => void here.destroy());
  const pieces: Buffer[] = [];
  here.on('error', () => undefined).on('data', (piece: Buffer) => pieces.push(piece));
  return { here, there, pieces };
}

async function listen(server: Server): Promise<Server> {
  readLittleOf(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return server;
}

function client(server: Server): Socket {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  closing.push(() => void socket.destroy());
  return socket;
}

/** Bytes that tell where they are. */
function numbered(bytes: number): Buffer {
  const all = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) all.writeUInt32LE(at, at);
  return all;
}
const lengthOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

test('little is read at once, whatever has come, and nothing is lost', async () => {
  const { there, pieces } = await upgraded();
  const sent = numbered(1_000_000);
  there.write(sent);
  await until('all of it', () => lengthOf(pieces) === sent.length);
  expect(Math.max(...pieces.map(({ length }) => length))).toBe(LITTLE);
  // Every piece is kept to the end: the buffer that all are read into is not seen in any of them.
  expect(Buffer.concat(pieces).equals(sent)).toBe(true);
});

test('bytes that two connections send at once are not mixed up', async () => {
  const [one, two] = [await upgraded(), await upgraded()];
  const [first, second] = [numbered(300_000), Buffer.from(numbered(300_000).toReversed())];
  for (let at = 0; at < first.length; at += 10_000) {
    one.there.write(first.subarray(at, at + 10_000));
    two.there.write(second.subarray(at, at + 10_000));
  }
  await until('all of it', () => lengthOf(one.pieces) + lengthOf(two.pieces) === 600_000);
  expect(Buffer.concat(one.pieces).equals(first)).toBe(true);
  expect(Buffer.concat(two.pieces).equals(second)).toBe(true);
});

test('much is read at once of somebody who is known', async () => {
  const { here, there, pieces } = await upgraded();
  readMuch(here);
  const sent = numbered(4_000_000);
  there.write(sent);
  await until('all of it', () => lengthOf(pieces) === sent.length);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeGreaterThan(LITTLE);
  expect(Buffer.concat(pieces).equals(sent)).toBe(true);
});

test('of one that is paused no more is read than one piece', async () => {
  const { here, there, pieces } = await upgraded();
  const paused = new Promise<void>((resolve) => {
    here.once('data', () => {
      here.pause();
      resolve();
    });
  });
  const sent = numbered(500_000);
  there.write(sent);
  await paused;
  // Another connection is served meanwhile: time for this one to be read, if it were.
  const other = await upgraded();
  other.there.write(sent);
  await until('all of the other', () => lengthOf(other.pieces) === sent.length);
  expect(lengthOf(pieces) + here.readableLength).toBeLessThanOrEqual(2 * LITTLE);
  here.resume();
  await until('the rest', () => lengthOf(pieces) === sent.length);
  expect(Buffer.concat(pieces).equals(sent)).toBe(true);
});

test('requests and their bodies are read as ever, one after the other on a connection', async () => {
  const bodies: string[] = [];
  const server = await listen(
    createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        bodies.push(body);
        response.end('ok');
      });
    }),
  );
  const socket = client(server);
  const sent = ['a'.repeat(100_000), 'b', 'ü'.repeat(50_001)];
  for (const body of sent)
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  await until('all of them', () => bodies.length === sent.length);
  expect(bodies).toEqual(sent);
});
