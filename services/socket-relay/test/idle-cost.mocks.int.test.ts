import { errorMonitor } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { received, until } from '@groupcast/testing';
import { Server } from 'socket.io';
import { io as connect, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createHeartbeat } from '../src/engine/heartbeat.ts';
import { letGoOfHandshake } from '../src/engine/idle-cost.ts';
import { attachWebSocketTransport } from '../src/engine/web-socket-transport.ts';
import { NO_MARK } from '../src/sessions/marks.ts';
import type { RelayServer, RelaySocket } from '../src/sessions/session.ts';
import { createSendBacklog } from '../src/slow-consumers/send-backlog.ts';
import { startRelayUnderTest } from './relay-harness.ts';

vi.mock(import('../src/slow-consumers/send-backlog.ts'), { spy: true });
const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function startServer(onConnection: (socket: RelaySocket) => void): Promise<string> {
  const http = createServer();
  const io: RelayServer = new Server(http, { pingInterval: 300, pingTimeout: 700 });
  attachWebSocketTransport(io.engine);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => io.close());
  io.on('connection', onConnection);
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

/** Both ends of a connection, by whichever transport. */
async function pair(
  transports: string[],
  onConnection: (socket: RelaySocket) => void,
): Promise<{ here: RelaySocket; there: Socket }> {
  let welcome: (socket: RelaySocket) => void = () => undefined;
  const connected = new Promise<RelaySocket>((resolve) => {
    welcome = resolve;
  });
  const url = await startServer((socket) => {
    onConnection(socket);
    welcome(socket);
  });
  const there = connect(url, { transports, reconnection: false });
  closing.push(() => void there.close());
  const [here] = await Promise.all([connected, received(there, 'connect')]);
  return { here, there };
}

/** The WebSocket of a stock client. */
function wireOf(there: Socket): { send(text: string): void; terminate(): void } {
  return (there.io.engine as unknown as { transport: { ws: WebSocket } }).transport.ws;
}

/** Internals that the modules under test reach into. Where a new version of Socket.IO or Node has other names, these tests fail. */
function internalsOf(socket: RelaySocket) {
  return socket as unknown as {
    acks: Map<number, unknown>;
    _anyListeners: unknown[];
    client: { decoder: { _callbacks: Record<string, unknown[]> }; ondata: unknown; onclose: unknown };
    conn: {
      request: unknown;
      cleanupFn: unknown[];
      pingIntervalTimer: unknown;
      _events: Record<string, unknown>;
      transport: {
        _events: Record<string, unknown>;
        socket?: { _events: Record<string, unknown>; _extensions: object };
      };
    };
  };
}

describe('an idle connection', () => {
  test.each([[['websocket']], [['polling']], [['polling', 'websocket']]])(
    'over %j has no handshake any more, and goes on as before',
    async (transports) => {
      const got: string[] = [];
      const { here, there } = await pair(transports, (socket) => {
        socket.onAny((name: string) => got.push(name));
        letGoOfHandshake(socket);
      });
      const { conn, client } = internalsOf(here);
      expect(conn.request).toBeUndefined();
      expect(here.handshake.headers).toEqual({});
      expect(Object.getPrototypeOf(conn._events).constructor).toBeUndefined();
      expect(Object.keys(client.decoder._callbacks)).toEqual(['$decoded']);
      if (transports.length > 1) await until('the upgrade', () => here.conn.transport.name === 'websocket');
      expect(conn.request).toBeUndefined();
      there.emit('hello');
      await until('the event', () => got.length === 1);
      const left = new Promise<string>((resolve) => here.on('disconnect', resolve));
      const lost = received<string>(there, 'disconnect');
      here.disconnect(true);
      expect(await left).toBe('server namespace disconnect');
      expect(await lost).toBe('io server disconnect');
    },
  );

  test.each([[['websocket']], [['polling', 'websocket']]])(
    'over %j listens with functions that all share',
    async (transports) => {
      const pairs = [await pair(transports, letGoOfHandshake), await pair(transports, letGoOfHandshake)];
      await until('the upgrades', () => pairs.every(({ here }) => here.conn.transport.name === 'websocket'));
      const [first, second] = pairs.map(({ here }) => internalsOf(here));
      for (const name of ['error', 'ready', 'packet', 'drain', 'close']) {
        expect(first?.conn.transport._events[name]).toBeTypeOf('function');
        expect(first?.conn.transport._events[name]).toBe(second?.conn.transport._events[name]);
      }
      expect(first?.conn.transport._events['headers']).toBeUndefined();
      expect(first?.conn.cleanupFn).toEqual([]);
      for (const name of ['message', 'close', 'error']) {
        expect(first?.conn.transport.socket?._events[name]).toBeTypeOf('function');
        expect(first?.conn.transport.socket?._events[name]).toBe(second?.conn.transport.socket?._events[name]);
      }
      expect(first?.conn.transport.socket?._extensions).toBe(second?.conn.transport.socket?._extensions);
      expect(first?.conn._events['data']).toBeTypeOf('function');
      expect(first?.conn._events['data']).toBe(second?.conn._events['data']);
      expect(first?.client.ondata).toBe(first?.conn._events['data']);
      expect(first?.conn._events['close']).toContain(second?.client.onclose);
      expect(first?.client.decoder._callbacks['$decoded']).toEqual(second?.client.decoder._callbacks['$decoded']);
    },
  );

  test('hears once that its client is gone, or that the wire was cut', async () => {
    const reasons: string[] = [];
    const { there } = await pair(['websocket'], (socket) => {
      socket.on('disconnect', (reason) => reasons.push(reason));
      letGoOfHandshake(socket);
    });
    wireOf(there).terminate();
    await until('the disconnect', () => reasons.length > 0);
    await new Promise(setImmediate);
    expect(reasons).toEqual(['transport close']);
  });

  test('that sends what is no packet is closed once', async () => {
    const reasons: string[] = [];
    const { here, there } = await pair(['websocket'], (socket) => {
      socket.on('disconnect', (reason) => reasons.push(reason));
      letGoOfHandshake(socket);
    });
    const lost = received(there, 'disconnect');
    wireOf(there).send('4no packet of Socket.IO');
    await lost;
    await until('the disconnect', () => reasons.length > 0);
    expect(reasons).toEqual(['forced close']);
    expect(here.conn.readyState).toBe('closed');
  });
});

test('a listener from outside keeps hearing its connection', async () => {
  const watched: unknown[] = [];
  const { here } = await pair(['websocket'], (socket) => {
    // Tracing tools do the same.
    socket.conn.on(errorMonitor, (error: unknown) => watched.push(error));
    letGoOfHandshake(socket);
  });
  const error = new Error('an error');
  here.conn.emit('error', error);
  expect(watched).toEqual([error]);
});

describe('the common heartbeat', () => {
  async function beating(transports: string[]): Promise<{ here: RelaySocket; there: Socket }> {
    const heartbeat = createHeartbeat({ intervalMs: 300, timeoutMs: 700 }, () => NO_MARK);
    closing.push(() => heartbeat.stop());
    return pair(transports, (socket) => heartbeat.watch(socket));
  }

  test.each([[['websocket']], [['polling']], [['polling', 'websocket']]])('pings over %j', async (transports) => {
    const { here, there } = await beating(transports);
    expect(internalsOf(here).conn.pingIntervalTimer).toBeNull();
    let pings = 0;
    there.io.engine.on('ping', () => (pings += 1));
    await until('four pings', () => pings >= 4);
    expect(there.connected && here.connected).toBe(true);
  });

  test('finds a peer that does not answer, though the time for it is longer than the interval', async () => {
    const heartbeat = createHeartbeat({ intervalMs: 300, timeoutMs: 700 }, () => NO_MARK);
    closing.push(() => heartbeat.stop());
    const reasons: string[] = [];
    const url = await startServer((socket) => {
      heartbeat.watch(socket);
      socket.on('disconnect', (reason) => reasons.push(reason));
    });
    // A stock client would notice by itself.
    const peer = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    closing.push(() => peer.terminate());
    await new Promise((resolve) => peer.once('open', resolve));
    peer.send('40');
    peer.once('message', () => peer.pause());
    await until('the disconnect', () => reasons.length > 0);
    expect(reasons).toEqual(['ping timeout']);
  });
});

test('nobody counts the backlog of a connection that has only just come', async () => {
  const relay = await startRelayUnderTest();
  closing.push(async () => relay.close());
  await relay.member('alice', ['g']);
  expect(createSendBacklog).not.toHaveBeenCalled();
  await relay.member('bob', ['g'], { transports: ['polling'] });
  expect(createSendBacklog).toHaveBeenCalledTimes(1);
});
