import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { received, until } from '@groupcast/testing';
import { Server } from 'socket.io';
import { io as connect, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';
import { createHeartbeat, type Heartbeat } from '../src/connections/heartbeat.ts';
import { letGoOfHandshake } from '../src/connections/idle-cost.ts';
import type { RelayServer, RelaySocket } from '../src/relay-server.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** One client of a plain server, both ends of it, by whichever transport. */
async function pair(
  transports: string[],
  onConnection: (socket: RelaySocket) => void,
): Promise<{ here: RelaySocket; there: Socket }> {
  const http = createServer();
  const io: RelayServer = new Server(http, { pingInterval: 300, pingTimeout: 700 });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => io.close());
  const connected = new Promise<RelaySocket>((resolve) => {
    io.on('connection', (socket) => {
      onConnection(socket);
      resolve(socket);
    });
  });
  const there = connect(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, {
    transports,
    reconnection: false,
  });
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

describe('the common heartbeat', () => {
  async function beating(transports: string[]): Promise<{ here: RelaySocket; there: Socket; heartbeat: Heartbeat }> {
    const heartbeat = createHeartbeat({ intervalMs: 300 });
    closing.push(() => heartbeat.stop());
    return { ...(await pair(transports, (socket) => heartbeat.watch(socket))), heartbeat };
  }

  test.each([[['websocket']], [['polling']], [['polling', 'websocket']]])('pings over %j', async (transports) => {
    const { here, there } = await beating(transports);
    expect(internalsOf(here).conn.pingIntervalTimer).toBeNull();
    let pings = 0;
    there.io.engine.on('ping', () => (pings += 1));
    await until('four pings', () => pings >= 4);
    expect(there.connected && here.connected).toBe(true);
  });

  test('finds a peer that does not answer', async () => {
    const { here, there } = await beating(['websocket']);
    const engine = there.io.engine as unknown as { transport: { ws: { pause(): void; terminate(): void } } };
    closing.push(() => engine.transport.ws.terminate());
    const left = new Promise<string>((resolve) => here.on('disconnect', resolve));
    engine.transport.ws.pause();
    expect(await left).toBe('ping timeout');
  });
});
