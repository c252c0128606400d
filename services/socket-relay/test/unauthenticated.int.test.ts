import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket as NetSocket } from 'node:net';
import { until } from '@groupcast/testing';
import { Server } from 'engine.io';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { createUnauthenticated, type UnauthenticatedLimits } from '../src/connections/unauthenticated.ts';
import { allowBody, attachBoundedPolling } from '../src/engine/polling-transport.ts';
import { allowBytes, attachWebSocketTransport } from '../src/engine/web-socket-transport.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** An engine whose connections never authenticate, unless they are forgotten by hand. */
async function start(limits: Partial<UnauthenticatedLimits>) {
  const http = createServer();
  const engine = new Server({ maxHttpBufferSize: 1_000_000 });
  engine.attach(http);
  attachBoundedPolling(engine);
  attachWebSocketTransport(engine);
  engine.on('connection', (conn) => {
    allowBytes(conn, 1_000_000, () => undefined);
    allowBody(conn, { bytes: 1_000_000, onTooLarge: () => undefined });
  });
  const metrics = createRelayMetrics();
  const unauthenticated = createUnauthenticated(
    { engine, metrics, log: pino({ level: 'silent' }) },
    { deadlineMs: 60_000, checkingMs: 60_000, pollingSessions: 1_000, pendingBytes: 1_000_000_000, ...limits },
  );
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  closing.push(async () => {
    unauthenticated.stop();
    engine.close();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  const path = `/engine.io/?EIO=4&transport=polling`;
  return {
    unauthenticated,
    engine: engine as unknown as { clients: Record<string, never>; clientsCount: number },
    cut: async (reason: string) =>
      (await metrics.unauthenticatedCut.get()).values.find(({ labels }) => labels.reason === reason)?.value ?? 0,
    poll: async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
      return (JSON.parse(text.slice(1)) as { sid: string }).sid;
    },
    tcp: (): NetSocket => {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      closing.push(() => void socket.destroy());
      return socket;
    },
    path,
  };
}

const UPGRADE =
  'GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

test('the oldest polling session makes room for a new one (G47)', async () => {
  const { poll, engine, cut } = await start({ pollingSessions: 3 });
  const sids: string[] = [];
  for (let index = 0; index < 5; index += 1) sids.push(await poll());
  await until('two of them to be gone', () => engine.clientsCount === 3);
  expect(Object.keys(engine.clients).toSorted()).toEqual(sids.slice(2).toSorted());
  expect(await cut('polling-sessions')).toBe(2);
});

test('a connection that authenticates makes room for nobody', async () => {
  const { poll, engine, unauthenticated } = await start({ pollingSessions: 2 });
  const sid = await poll();
  unauthenticated.forget(engine.clients[sid] as never);
  for (let index = 0; index < 4; index += 1) await poll();
  await until('the others to be gone', () => engine.clientsCount === 3);
  expect(engine.clients).toHaveProperty(sid);
});

test('the deadline ends a session that nobody polls', async () => {
  const { poll, engine, cut } = await start({ deadlineMs: 200 });
  await poll();
  await until('it to be gone', () => engine.clientsCount === 0);
  expect(await cut('deadline')).toBe(1);
});

const HUGE_FRAME = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x0d, 0xbb, 0xa0, 0, 0, 0, 0]);

test.each([
  ['that has not authenticated', false],
  ['that has', true],
])('a WebSocket that probes the upgrade of a session %s has no room for a message', async (_what, authenticated) => {
  const { tcp, engine, unauthenticated, poll } = await start({});
  const sid = await poll();
  if (authenticated) unauthenticated.forget(engine.clients[sid] as never);
  const socket = tcp();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(UPGRADE.replace('transport=websocket', `transport=websocket&sid=${sid}`));
  await new Promise((resolve) => socket.once('data', resolve));
  const answered = new Promise<Buffer>((resolve) => socket.once('data', resolve));
  socket.write(HUGE_FRAME);
  // A close frame with code 1009, and then the end.
  expect((await answered).includes(Buffer.from([0x88, 0x02, 0x03, 0xf1]))).toBe(true);
  await closed;
  expect(engine.clients[sid]).toBeDefined();
});

test.each([
  ['a WebSocket frame', true],
  ['a polling body', false],
])('the oldest unfinished packets make room: %s', async (_what, isWebSocket) => {
  const { engine, tcp, cut, poll, path } = await start({ pendingBytes: 320_000 });
  const closed: number[] = [];
  for (const [index, size] of [100_000, 250_000, 20_000].entries()) {
    const socket = tcp().on('close', () => closed.push(index));
    if (isWebSocket) {
      socket.write(UPGRADE);
      await new Promise((resolve) => socket.once('data', resolve));
      // A masked text frame of 900,000 bytes that never comes to its end.
      socket.write(Buffer.concat([HUGE_FRAME, Buffer.alloc(size, 'x')]));
    } else {
      const head = `POST ${path}&sid=${await poll()} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(size, 'x')]));
    }
  }
  await until('the oldest to be cut', () => closed.length > 0);
  expect(closed).toEqual([0]);
  await until('its session to be gone', () => engine.clientsCount === 2);
  expect(await cut('pending-bytes')).toBe(1);
});
