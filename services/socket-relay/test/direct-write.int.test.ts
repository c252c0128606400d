import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket as NetSocket } from 'node:net';
import { constants } from 'node:os';
import { until } from '@groupcast/testing';
import { afterEach, expect, test } from 'vitest';
import { writeNow } from '../src/engine/direct-write.ts';
import { unsentOn } from '../src/engine/wire.ts';
import { replaceWrites } from './handle-writes.ts';

/** More than two sockets of this machine hold for a peer that does not read. */
const TOO_MUCH = 16 * 1_048_576;
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Both ends of a TCP connection; the client does not read before `resume`. */
async function open(): Promise<{ here: NetSocket; there: NetSocket; errors: Error[] }> {
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[NetSocket]>;
  const there = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [here] = await accepted;
  const errors: Error[] = [];
  here.on('error', (error) => errors.push(error));
  there.on('error', () => undefined);
  closing.push(() => {
    here.destroy();
    there.destroy();
    server.close();
  });
  return { here, there, errors };
}

function countDone(): { readonly count: number; onOver(): void } {
  let count = 0;
  return {
    get count() {
      return count;
    },
    onOver() {
      count += 1;
    },
  };
}

/** The sum of what arrives, and whether each byte is the one that was to come. */
function read(there: NetSocket, expected: Buffer): { readonly bytes: number } {
  let bytes = 0;
  there.on('data', (chunk: Buffer) => {
    expect(chunk.equals(expected.subarray(bytes, bytes + chunk.length))).toBe(true);
    bytes += chunk.length;
  });
  return {
    get bytes() {
      return bytes;
    },
  };
}

test('a write that is taken at once is over, and `done` hears nothing more of it', async () => {
  const { here, there } = await open();
  const first = countDone();
  // The first write of a process goes through the stream, which tells when it is over.
  expect(writeNow(here, Buffer.from('one'), first)).toBe(true);
  const second = countDone();
  expect(writeNow(here, Buffer.from('two'), second)).toBe(true);
  const got = read(there, Buffer.from('onetwo'));
  await until('both to arrive', () => got.bytes === 6);
  expect(second.count).toBe(0);
});

test('the bytes that a slow reader has not taken come later, in order, before those of later writes', async () => {
  const { here, there } = await open();
  const [large, more, last] = ['a', 'b', 'c'].map((letter) => Buffer.alloc(TOO_MUCH, letter)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const dones = [countDone(), countDone()] as const;
  writeNow(here, Buffer.alloc(1, 'a'), countDone());
  expect(writeNow(here, large, dones[0])).toBe(false);
  expect(writeNow(here, more, dones[1])).toBe(false);
  here.write(last);
  expect(unsentOn(here)).toBeGreaterThan(0);
  expect(dones.map(({ count }) => count)).toEqual([0, 0]);
  const got = read(there, Buffer.concat([Buffer.alloc(1, 'a'), large, more, last]));
  await until('everything to arrive', () => got.bytes === 1 + 3 * TOO_MUCH);
  await until('both to be over', () => dones.every(({ count }) => count === 1));
  expect(unsentOn(here)).toBe(0);
});

test('slow readers of one moment do not disturb each other', async () => {
  const peers = await Promise.all(Array.from({ length: 5 }, open));
  const dones = peers.map(countDone);
  const batches = peers.map((_, n) => Buffer.alloc(TOO_MUCH, String(n)));
  for (const [n, { here }] of peers.entries()) {
    expect(writeNow(here, batches[n] as Buffer, dones[n] as ReturnType<typeof countDone>)).toBe(false);
  }
  const reads = peers.map(({ there }, n) => read(there, batches[n] as Buffer));
  await until('everything to arrive', () => reads.every(({ bytes }) => bytes === TOO_MUCH));
  await until('all to be over', () => dones.every(({ count }) => count === 1));
});

test('a write whose rest went out at once keeps its request until libuv is done with it', async () => {
  const peers = [await open(), await open()] as const;
  const dones = [countDone(), countDone()] as const;
  writeNow(peers[0].here, Buffer.from('first'), countDone());
  for (const [n, { here }] of peers.entries()) {
    // As where the peer makes room in the moment between libuv's two tries.
    const { _handle: handle } = here as unknown as { _handle: object };
    Object.defineProperty(handle, 'writeQueueSize', { get: () => 0 });
    expect(writeNow(here, Buffer.alloc(TOO_MUCH), dones[n] as (typeof dones)[0])).toBe(false);
  }
  for (const { there } of peers) there.resume();
  await until('both to be over', () => dones.every(({ count }) => count === 1));
});

test('a connection that is closed with a write under way tells that it is over', async () => {
  const { here, errors } = await open();
  const done = countDone();
  expect(writeNow(here, Buffer.alloc(TOO_MUCH), done)).toBe(false);
  here.destroy();
  await until('it to be over', () => done.count === 1);
  // The one who closed it knows.
  expect(errors).toEqual([]);
  expect(writeNow(here, Buffer.from('late'), done)).toBe(true);
});

test('a write that fails destroys the socket with the error of the operating system', async () => {
  const { here, errors } = await open();
  const done = countDone();
  writeNow(here, Buffer.from('one'), done);
  replaceWrites(here, () => -constants.errno.EPIPE);
  expect(writeNow(here, Buffer.from('two'), done)).toBe(true);
  await until('the socket to say so', () => errors.length === 1);
  expect(errors[0]).toMatchObject({ message: 'write EPIPE', code: 'EPIPE', syscall: 'write' });
  expect(here.destroyed).toBe(true);
});

test.each([true, false])(
  'a peer that resets the connection with a write under way ends it, read %s',
  async (isRead) => {
    const { here, there, errors } = await open();
    const done = countDone();
    expect(writeNow(here, Buffer.alloc(TOO_MUCH), done)).toBe(false);
    // Where nobody reads, it is the write that finds out.
    if (!isRead) (here as unknown as { _handle: { readStop(): void } })._handle.readStop();
    there.resetAndDestroy();
    await until('it to be over', () => done.count === 1);
    await until('the socket to say so', () => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) });
    expect(here.destroyed).toBe(true);
  },
);
