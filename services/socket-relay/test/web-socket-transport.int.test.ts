import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket as NetSocket } from 'node:net';
import { readLittleOf } from '@groupcast/service-kit';
import { until } from '@groupcast/testing';
import { type Socket as EngineSocket, Server, transports } from 'engine.io';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { unfinished } from '../src/engine/unfinished.ts';
import {
  answerUpgradesInOneWrite,
  attachWebSocketTransport,
  holdTurn,
  settleTransport,
  WebSocketTransport,
} from '../src/engine/web-socket-transport.ts';
import { replaceWrites } from './handle-writes.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** How many writes a TCP socket is given. */
function countWrites(wire: NetSocket): () => number {
  let count = 0;
  replaceWrites(wire, (write) => {
    count += 1;
    return write();
  });
  return () => count;
}

interface Options {
  perMessageDeflate?: { threshold: number };
  maxHttpBufferSize?: number;
  isStock?: boolean;
}

/** Both ends of an Engine.IO connection, and the events at each, in order. */
async function open({ isStock = false, ...options }: Options = {}) {
  const http = createServer();
  const server = new Server({ maxHttpBufferSize: 1_000, ...options });
  server.attach(http);
  if (!isStock) attachWebSocketTransport(server);
  answerUpgradesInOneWrite(server);
  const accepted = new Promise<() => number>((resolve) =>
    http.once('connection', (wire: NetSocket) => resolve(countWrites(wire))),
  );
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.close();
    await new Promise((resolve) => http.close(resolve));
  });
  const connected = new Promise<EngineSocket>((resolve) => server.once('connection', resolve));
  const { port } = http.address() as AddressInfo;
  const there = new WebSocket(`ws://127.0.0.1:${port}/engine.io/?EIO=4&transport=websocket`);
  closing.push(() => there.terminate());
  const got: string[] = [];
  there.on('message', (data: Buffer, isBinary) =>
    got.push(isBinary ? `bytes ${data.toString('hex')}` : data.toString()),
  );
  const here = await connected;
  const events: string[] = [];
  here.on('message', (data: string | Buffer) => events.push(Buffer.isBuffer(data) ? data.toString('hex') : data));
  here.on('close', (reason: string) => events.push(`closed: ${reason}`));
  await until('the greeting', () => got.length === 1);
  got.length = 0;
  return { here, there, got, events, writes: await accepted };
}

describe.each([['Engine.IO’s own transport'], ['the transport of the relay']])('%s', (which) => {
  const isStock = which !== 'the transport of the relay';
  async function pair(options?: Options): ReturnType<typeof open> {
    const both = await open({ ...options, isStock });
    const { transport } = both.here as unknown as { transport: unknown };
    expect(transport instanceof WebSocketTransport).toBe(!isStock);
    return both;
  }

  test.each([[undefined], [{ perMessageDeflate: { threshold: 1 } }]])(
    'carries text and bytes both ways, in order (%j)',
    async (options) => {
      const { here, there, got, events } = await pair(options);
      const sent: string[] = [];
      here.send('one', {}, () => sent.push('one'));
      here.send(Buffer.from([1, 2]), {}, () => sent.push('two'));
      here.send('three', { wsPreEncodedFrame: [Buffer.from([0x81, 6]), Buffer.from('4three')] } as never);
      here.send('four', {}, () => sent.push('four'));
      there.send('4hello');
      there.send(Buffer.from([3, 4]));
      await until('all', () => got.length === 4 && events.length === 2 && sent.length === 3);
      expect(got).toEqual(['4one', 'bytes 0102', '4three', '4four']);
      expect(events).toEqual(['hello', '0304']);
      expect(sent).toEqual(['one', 'two', 'four']);
    },
  );

  test.each([
    ['short', ['first', '', 'ä', 'x'.repeat(124), 'ä'.repeat(70), 'last']],
    ['long', ['first', 'ä', 'x'.repeat(20_000), 'ö'.repeat(40_000), 'last']],
  ])('carries %s texts that leave together, in order', async (_, texts) => {
    const { here, there, got } = await pair({ maxHttpBufferSize: 1_000_000 });
    const sent: string[] = [];
    for (const text of texts) here.send(text, {}, () => sent.push(text));
    await until('all', () => got.length === texts.length);
    expect(got).toEqual(texts.map((text) => `4${text}`));
    await until('each was sent', () => sent.length === texts.length);
    there.terminate();
  });

  test('says that the peer has gone', async () => {
    const { there, events } = await pair();
    there.terminate();
    await until('the end', () => events.length > 0);
    expect(events).toEqual(['closed: transport close']);
  });

  test('ends with a peer that sends too much', async () => {
    const { there, events } = await pair();
    there.send('4'.repeat(2_000));
    await until('the end', () => events.length > 0);
    expect(events).toEqual(['closed: transport error']);
  });

  test('closes when it is told to, after what was sent before', async () => {
    const { here, there, got, events } = await pair();
    const closed = new Promise((resolve) => there.once('close', resolve));
    here.send('last');
    here.close();
    await closed;
    expect(got).toEqual(['4last']);
    await until('the end', () => events.length > 0);
    expect(events).toEqual(['closed: forced close']);
  });

  test('says that a write failed', async () => {
    const { here, events } = await pair();
    const { socket } = (here as unknown as { transport: { socket: { _socket: { destroy(): void } } } }).transport;
    socket._socket.destroy();
    here.send('too late');
    await until('the end', () => events.length > 0);
    expect(events).toEqual(['closed: transport error']);
  });
});

test('a server that the same process has for itself keeps Engine.IO’s own transports', async () => {
  const relays = await open();
  const own = await open({ isStock: true });
  const transportOf = ({ here }: typeof own): unknown => (here as unknown as { transport: unknown }).transport;
  expect(transportOf(relays)).toBeInstanceOf(WebSocketTransport);
  expect(transportOf(own)).toBeInstanceOf(transports.websocket);
  expect(transportOf(own)).not.toBeInstanceOf(WebSocketTransport);
});

describe('writes of the relay’s transport', () => {
  test('the answer to an upgrade and the first packet are one', async () => {
    const { writes } = await open();
    expect(writes()).toBe(1);
  });

  test('everything sent while it was busy is one', async () => {
    const { here, got, writes } = await open();
    const before = writes();
    for (const text of ['one', 'two', 'three', 'four']) here.send(text);
    await until('all', () => got.length === 4);
    expect(got).toEqual(['4one', '4two', '4three', '4four']);
    expect(writes() - before).toBe(2);
  });

  test.each([[undefined], [{ perMessageDeflate: { threshold: 1 } }]])(
    'a turn that is held is one, in its order (%j)',
    async (options) => {
      const { here, got, writes } = await open(options);
      const before = writes();
      holdTurn(here);
      here.send('one');
      await Promise.resolve();
      here.send('two');
      expect(writes()).toBe(before);
      await until('all', () => got.length === 2);
      expect(got).toEqual(['4one', '4two']);
      // A compressed message is written when it is compressed.
      if (!options) expect(writes() - before).toBe(1);
      here.send('three');
      await until('the next', () => got.length === 3);
    },
  );

  test('a turn that is held ends with what was sent before a close', async () => {
    const { here, there, got } = await open();
    const closed = new Promise((resolve) => there.once('close', resolve));
    holdTurn(here);
    here.send('last');
    here.close();
    await closed;
    expect(got).toEqual(['4last']);
  });

  test('a turn that is held survives a peer that goes meanwhile', async () => {
    const { here, events } = await open();
    const { socket } = (here as unknown as { transport: { socket: { _socket: NetSocket } } }).transport;
    holdTurn(here);
    here.send('too late');
    socket._socket.destroy();
    await until('the end', () => events.length > 0);
    expect(events).toHaveLength(1);
  });
});

/** A masked text frame, as browsers send it. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const head = length < 126 ? [0x81, 0x80 | length] : [0x81, 0xfe, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

test('a client that sends much with the end of its upgrade holds no place among those that nobody knows', async () => {
  const http = createServer();
  readLittleOf(http);
  const server = new Server({ maxHttpBufferSize: 100_000 });
  server.attach(http);
  attachWebSocketTransport(server);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.close();
    await new Promise((resolve) => http.close(resolve));
  });
  const got: number[] = [];
  const ends: string[] = [];
  let upgrading = false;
  server.on('connection', (conn: EngineSocket) => {
    // Its user was known while it polled.
    settleTransport(conn, false);
    conn.on('upgrading', () => {
      upgrading = true;
    });
    conn.on('message', (data: string) => got.push(data.length));
    conn.on('close', (reason: string) => ends.push(reason));
  });
  const { port } = http.address() as AddressInfo;
  const opened = await fetch(`http://127.0.0.1:${port}/engine.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse((await opened.text()).slice(1)) as { sid: string };
  const wire = connect(port, '127.0.0.1').on('error', () => undefined);
  closing.push(() => void wire.destroy());
  wire.write(
    `GET /engine.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n`,
  );
  await new Promise((resolve) => wire.once('data', resolve));
  wire.write(frame('2probe'));
  await until('the probe', () => upgrading);
  wire.write(Buffer.concat([frame('5'), frame(`4${'x'.repeat(6_000)}`)]));
  await until('the message', () => got.length > 0);
  expect(got).toEqual([6_000]);
  expect(unfinished.bytes).toBe(0);
  expect(ends).toEqual([]);
});
