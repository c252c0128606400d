import { type ServiceProcess, startRelayProcess } from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ChatBrowser, startChatBrowser } from './chat-browser.ts';

let browser: ChatBrowser;
beforeAll(async () => {
  browser = await startChatBrowser();
});
afterEach(async () => browser.closePages());
afterAll(async () => browser.close());

/** The rows of the page, once all of them say something. */
async function rowsOf(relay: ServiceProcess): Promise<string[]> {
  const page = await browser.open(relay.url);
  await page.waitForFunction(() => document.querySelectorAll('li.ok, li.no').length === 3);
  return page.locator('li').evaluateAll((rows) => rows.map((row) => `${row.className} ${row.textContent}`));
}

test('a browser that opens the relay’s address sees whether it can connect from there, by which transport and from which origin', async () => {
  const [open, closed] = await Promise.all([
    startRelayProcess(),
    startRelayProcess({ SOCKET_CORS_ORIGIN: 'https://app.test' }),
  ]);
  try {
    expect(await rowsOf(open)).toEqual([
      'ok HTTP long-polling: the handshake was answered.',
      'ok WebSocket: the handshake was answered.',
      `ok Origin: pages of ${open.url} may connect.`,
    ]);
    expect(await rowsOf(closed)).toEqual([
      'ok HTTP long-polling: the handshake was answered.',
      'no WebSocket: no handshake (closed). The origin of this page is refused, see below.',
      expect.stringMatching(new RegExp(`^no Origin: pages of ${closed.url} may not connect; SOCKET_CORS_ORIGIN`)),
    ]);
  } finally {
    await Promise.all([open.stop(), closed.stop()]);
  }
});
