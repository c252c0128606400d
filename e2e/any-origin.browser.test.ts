import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type ServiceProcess, startRelayProcess, tokenFor } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ChatBrowser, startChatBrowser } from './chat-browser.ts';

const CLIENT = readFileSync(
  fileURLToPath(new URL('dist/socket.io.min.js', import.meta.resolve('socket.io-client/package.json'))),
);

let browser: ChatBrowser;
let site: Server;
let relay: ServiceProcess & { internalUrl: string };
beforeAll(async () => {
  site = createServer((request, response) => {
    const isScript = request.url === '/client.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? CLIENT : '<!doctype html><title>a site</title><script src="/client.js"></script>');
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  relay = await startRelayProcess({ SOCKET_CORS_ORIGIN: '*' });
  browser = await startChatBrowser();
});
afterEach(async () => browser.closePages());
afterAll(async () => {
  await browser.close();
  await relay.stop();
  site.close();
});

async function openSite(): Promise<Page> {
  return browser.open(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
}

/** The answers of the relay to a page of another site. */
async function connectFrom(page: Page, options: object): Promise<string> {
  const given = {
    url: relay.url,
    options: { reconnection: false, auth: { token: await tokenFor('alice', ['g']) }, ...options },
  };
  return page.evaluate(
    async ({ url, options: forClient }) =>
      new Promise<string>((resolve) => {
        const { io } = globalThis as unknown as {
          io: (
            url: string,
            options: object,
          ) => { on: (event: string, done: (said: { message?: string }) => void) => void };
        };
        const socket = io(url, forClient);
        socket.on('joined-groups', () => resolve('joined'));
        socket.on('connect_error', (error) => resolve(error.message ?? ''));
      }),
    given,
  );
}

test.each([['polling'], ['websocket']])(
  'with SOCKET_CORS_ORIGIN=* the stock client of any site connects by %s',
  async (transport) => {
    expect(await connectFrom(await openSite(), { transports: [transport] })).toBe('joined');
    expect(browser.complaints).toEqual([]);
  },
);

test('but its browser gives it no answer to a request with credentials', async () => {
  expect(await connectFrom(await openSite(), { transports: ['polling'], withCredentials: true })).toBe(
    'xhr poll error',
  );
});
