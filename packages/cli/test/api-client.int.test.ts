import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { createApiClient } from '../src/broadcast-test/api-client.ts';

let server: Server;
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** How a request fails at an API that answers as `listener` does. */
async function failureOf(listener: RequestListener, timeoutMs: number): Promise<unknown> {
  server = createServer((request, response) => {
    response.on('error', () => undefined);
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const api = createApiClient({ url, timeoutMs, maxSockets: 1 });
  try {
    return await api.request('GET', '/', 'token').catch((error: unknown) => error);
  } finally {
    api.close();
  }
}

function* endless(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(1_048_576, ' ');
}

test('an answer without an end is not read to it', async () => {
  const failure = await failureOf((_request, response) => void Readable.from(endless()).pipe(response), 25_000);
  expect(failure).toMatchObject({ code: 'ANSWER_TOO_LARGE' });
});

test('an answer that goes on, a byte now and then, ends with the deadline', async () => {
  const failure = await failureOf((_request, response) => {
    response.write('{');
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  }, 500);
  expect(failure).toMatchObject({ code: 'TIMEOUT', message: 'no answer within 500 ms' });
});
