import { errorMonitor } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { received, until } from '@groupcast/testing';
import { Server } from 'socket.io';
import { io as connect, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createHeartbeat } from '../src/connections/heartbeat.ts';
import { letGoOfHandshake } from '../src/connections/idle-cost.ts';
import type { RelayServer, RelaySocket } from '../src/relay-server.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function startServer(onConnection: (socket: RelaySocket) => void): Promise<string> {
  const http = createServer();
  const io: RelayServer = new Server(http, { pingInterval: 300, pingTimeout: 700 });
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

/** What the modules under test reach into. Where a new version of Socket.IO or Node has other names, these tests fail. */
function internalsOf(socket: RelaySocket) {
  return socket as unknown as {
    acks: Map<number, unknown>;
    _anyListeners: unknown[];
    client: { decoder: { _callbacks: Record<string, unknown[]> } };
    conn: {
      request: unknown;
      cleanupFn: unknown[];
      pingIntervalTimer: unknown;
      _events: object;
      transport: { socket?: { _receiver: { _events: object }; _socket: { _events: object } } };
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
      expect(conn.cleanupFn.length).toBeGreaterThan(0);
      if (transports.length > 1) {
        await until('the upgrade', () => here.conn.transport.name === 'websocket');
        expect(conn.request).toBeUndefined();
      }
      there.emit('hello');
      await until('the event', () => got.length === 1);
      const left = new Promise<string>((resolve) => here.on('disconnect', resolve));
      const lost = received<string>(there, 'disconnect');
      here.disconnect(true);
      expect(await left).toBe('server namespace disconnect');
      expect(await lost).toBe('io server disconnect');
    },
  );

  test('hears once that its client is gone, or that the wire was cut', async () => {
    const reasons: string[] = [];
    const { there } = await pair(['websocket'], (socket) => {
      socket.on('disconnect', (reason) => reasons.push(reason));
      letGoOfHandshake(socket);
    });
    const engine = there.io.engine as unknown as { transport: { ws: { terminate(): void } } };
    engine.transport.ws.terminate();
    await until('the disconnect', () => reasons.length > 0);
    await new Promise(setImmediate);
    expect(reasons).toEqual(['transport close']);
  });
});

test('whoever watches a connection from outside goes on watching it', async () => {
  const watched: unknown[] = [];
  const { here } = await pair(['websocket'], (socket) => {
    // As tracing tools do.
    socket.conn.on(errorMonitor, (error: unknown) => watched.push(error));
    letGoOfHandshake(socket);
  });
  const error = new Error('an error');
  here.conn.emit('error', error);
  expect(watched).toEqual([error]);
});

describe('the common heartbeat', () => {
  async function beating(transports: string[]): Promise<{ here: RelaySocket; there: Socket }> {
    const heartbeat = createHeartbeat({ intervalMs: 300, timeoutMs: 700 });
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
    const heartbeat = createHeartbeat({ intervalMs: 300, timeoutMs: 700 });
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
