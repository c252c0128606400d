import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { readLittleOf } from '@groupcast/service-kit';
import { until } from '@groupcast/testing';
import { afterEach, expect, test } from 'vitest';
import { countBody } from '../src/engine/polling-body.ts';
import { unfinished } from '../src/engine/unfinished.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  unfinished.limit = Number.POSITIVE_INFINITY;
  for (const close of closing.splice(0).toReversed()) await close();
});

test('a body is read no further while there is no room, and to its end afterwards', async () => {
  let bytes = 0;
  let served = 0;
  const http = createServer((request, response) => {
    if (request.method === 'GET') {
      served += 1;
      response.end('ok');
      return;
    }
    countBody(request, { bytes: 1_000_000, onTooLarge: () => undefined }, { cutUnfinished: () => undefined });
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
  });
  readLittleOf(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  const { port } = http.address() as AddressInfo;
  unfinished.limit = 0;
  const wire = connect(port, '127.0.0.1').on('error', () => undefined);
  closing.push(() => void wire.destroy());
  wire.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n${'x'.repeat(500_000)}`);
  await until('its first pieces', () => bytes > 0);
  // Others are served meanwhile: time for this one to be read, if it were.
  for (let n = 0; n < 50; n += 1) await (await fetch(`http://127.0.0.1:${port}/`)).text();
  expect(served).toBe(50);
  expect(bytes).toBeLessThan(50_000);
  unfinished.limit = Number.POSITIVE_INFINITY;
  await until('all of it', () => bytes === 500_000);
});
