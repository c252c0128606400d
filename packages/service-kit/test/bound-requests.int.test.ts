import diagnostics from 'node:diagnostics_channel';
import type { AddressInfo } from 'node:net';
import { openRaw, openServer, type RawConnection, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { createConnectionLimit } from '../src/connection-limit.ts';
import { createHttpApp } from '../src/http.ts';
import { createBoundedServer } from '../src/http-server.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const REQUEST = 'GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** Counts the requests that a server is given, and opens a port. */
async function startPlain() {
  let served = 0;
  const server = createBoundedServer({}, (_request, response) => {
    served += 1;
    response.end('ok');
  });
  const { port, close } = await openServer(server);
  closing.push(close);
  return { port, served: () => served };
}

async function startApp() {
  let served = 0;
  const log = pino({ level: 'silent' });
  const connections = createConnectionLimit({ max: 100, port: 'internal', log });
  const app = await createHttpApp({
    log,
    port: 'api-internal',
    connections,
    bodyLimitBytes: 1_000,
  });
  app.get('/x', async () => {
    served += 1;
    return { ok: true };
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  closing.push(async () => app.close());
  return { port: (app.server.address() as AddressInfo).port, served: () => served };
}

describe.each([
  ['a plain server', startPlain],
  ['the HTTP app of both services', startApp],
])('%s', (_what, start) => {
  function open(port: number): RawConnection {
    const connection = openRaw(port);
    closing.push(() => void connection.socket.destroy());
    return connection;
  }

  /** Requests that Node's parser has begun from now on. */
  function countParsed(): () => number {
    let parsed = 0;
    const count = (): void => {
      parsed += 1;
    };
    diagnostics.subscribe('http.server.request.start', count);
    closing.push(() => void diagnostics.unsubscribe('http.server.request.start', count));
    return () => parsed;
  }

  test('cuts a connection that sends thousands of requests in one piece, and serves few of them', async () => {
    const { port, served } = await start();
    const { socket, isClosed } = open(port);
    const parsed = countParsed();
    socket.write(REQUEST.repeat(1_700));
    await until('the connection to be cut', isClosed);
    expect(served()).toBeLessThanOrEqual(32);
    expect(parsed()).toBeLessThan(100);
  });

  test.each(['x', '100-continue'])('… also with an Expect, which Node answers by itself: %s', async (expectation) => {
    const { port } = await start();
    const { socket, isClosed } = open(port);
    const parsed = countParsed();
    socket.write(`GET /x HTTP/1.1\r\nHost: localhost\r\nExpect: ${expectation}\r\n\r\n`.repeat(1_200));
    await until('the connection to be cut', isClosed);
    expect(parsed()).toBeLessThan(100);
  });

  test('serves requests that follow on each other, as many as come', async () => {
    const { port, served } = await start();
    const { socket, text } = open(port);
    for (let count = 1; count <= 40; count += 1) {
      socket.write(REQUEST);
      await until('its answer', () => text().split('HTTP/1.1 200').length === count + 1);
    }
    expect(served()).toBe(40);
  });
});
