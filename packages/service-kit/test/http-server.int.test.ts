import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type HeldConnections, holdConnections, openServer, until } from '@groupcast/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { createBoundedServer } from '../src/http-server.ts';

const QUICK = { headersTimeout: 200, requestTimeout: 400, connectionsCheckingInterval: 20 };

let server: Server;
let held: HeldConnections | undefined;
afterEach(async () => {
  held?.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function hold(say: string, listener: RequestListener = () => undefined): Promise<HeldConnections> {
  server = createBoundedServer(QUICK, listener);
  const { port } = await openServer(server);
  held = await holdConnections(port, 1, say);
  return held;
}
/** Says one character at a time, for as long as somebody listens. */
function trickle({ sockets: [socket] }: HeldConnections, character: string): void {
  const timer = setInterval(() => socket?.write(character), 10);
  socket?.once('close', () => clearInterval(timer)).once('end', () => clearInterval(timer));
}

describe('a server closes a connection', () => {
  test('on which nothing is ever said', async () => {
    const silent = await hold('');
    await until('its end', () => silent.open() === 0);
  });

  test('on which the head of a request comes a character at a time', async () => {
    const slow = await hold('GET / HTTP/1.1\r\nx: ');
    trickle(slow, 'x');
    await until('its end', () => slow.open() === 0);
    expect(slow.answers()).toContain('"code":"REQUEST_TIMEOUT"');
  });

  test.each([
    ['never comes', ''],
    ['comes a character at a time', 'x'],
  ])('on which a body %s, and says why (G38)', async (_name, character) => {
    const slow = await hold('POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n');
    if (character) trickle(slow, character);
    await until('its end', () => slow.open() === 0);
    expect(slow.answers()).toMatch(/^HTTP\/1\.1 408 REQUEST_TIMEOUT\r\n/);
    expect(slow.answers()).toContain('"retryable":true');
  });

  test('without a second answer when the first has begun', async () => {
    const slow = await hold('POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n', (_request, response) => {
      response.writeHead(200).write('a beginning');
    });
    await until('its end', () => slow.open() === 0);
    expect(slow.answers()).toContain('a beginning');
    expect(slow.answers()).not.toContain('408');
  });

  test('on which no HTTP is spoken, and says so', async () => {
    const wrong = await hold('hello\r\n\r\n');
    await until('its end', () => wrong.open() === 0);
    expect(wrong.answers()).toContain('"code":"INVALID_PAYLOAD"');
  });

  test('and not one that waits for its answer for longer', async () => {
    let answer: (() => void) | undefined;
    const patient = await hold('GET / HTTP/1.1\r\nhost: test\r\n\r\n', (_request, response) => {
      answer ??= () => void response.end('at last');
    });
    await until('the request', () => answer);
    const { port } = server.address() as AddressInfo;
    // Its own time is up when that of one that came later is.
    const later = await holdConnections(port, 1, 'POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\n');
    await until('the end of the other', () => later.open() === 0);
    answer?.();
    await until('the answer', () => patient.answers().includes('at last'));
  });
});
