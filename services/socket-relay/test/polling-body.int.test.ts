import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { readLittleOf } from '@groupcast/service-kit';
import { until } from '@groupcast/testing';
import { Server as EngineServer, type Socket as EngineSocket } from 'engine.io';
import { afterEach, expect, test } from 'vitest';
import { countBody } from '../src/engine/polling-body.ts';
import { allowBody, attachBoundedPolling } from '../src/engine/polling-transport.ts';
import { unfinished } from '../src/engine/unfinished.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  unfinished.limit = Number.POSITIVE_INFINITY;
  for (const close of closing.splice(0).toReversed()) await close();
});

async function listen(http: Server): Promise<number> {
  readLittleOf(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  return (http.address() as AddressInfo).port;
}

function open(port: number): Socket {
  const wire = connect(port, '127.0.0.1').on('error', () => undefined);
  closing.push(() => void wire.destroy());
  return wire;
}

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
  const port = await listen(http);
  unfinished.limit = 0;
  const wire = open(port);
  wire.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n${'x'.repeat(500_000)}`);
  await until('its first pieces', () => bytes > 0);
  // Others are served meanwhile: time for this one to be read, if it were.
  for (let n = 0; n < 50; n += 1) await (await fetch(`http://127.0.0.1:${port}/`)).text();
  expect(served).toBe(50);
  expect(bytes).toBeLessThan(50_000);
  unfinished.limit = Number.POSITIVE_INFINITY;
  await until('all of it', () => bytes === 500_000);
});

test('a session that is closing gives up its body too when others need the room', async () => {
  const http = createServer();
  const engine = new EngineServer();
  engine.attach(http);
  attachBoundedPolling(engine);
  const port = await listen(http);
  closing.push(() => void engine.close());
  const accepted = new Promise<EngineSocket>((resolve) => engine.once('connection', resolve));
  const opened = await fetch(`http://127.0.0.1:${port}/engine.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse((await opened.text()).slice(1)) as { sid: string };
  const conn = await accepted;
  allowBody(conn, { bytes: 1_000_000, onTooLarge: () => undefined });
  const wire = open(port);
  const ended = new Promise((resolve) => wire.once('close', resolve));
  wire.write(
    `POST /engine.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n${'x'.repeat(5_000)}`,
  );
  await until('its first pieces', () => unfinished.bytes > 0);
  (conn as unknown as { transport: { readyState: string } }).transport.readyState = 'closing';
  unfinished.limit = 0;
  unfinished.keepLimit();
  await ended;
  expect(unfinished.bytes).toBe(0);
});
