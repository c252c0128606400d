import { type ServiceProcess, startRelayProcess, tokenFor } from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ChatBrowser, startChatBrowser } from './chat-browser.ts';

let browser: ChatBrowser;
beforeAll(async () => {
  browser = await startChatBrowser();
});
afterEach(async () => browser.closePages());
afterAll(async () => browser.close());

interface Said {
  frames: string[];
  protocol: string;
  code: number;
}

/** A WebSocket of a page that says nothing but `frame`, and ends at the first answer to it. */
async function sayTo(relay: ServiceProcess, protocols: string[], frame: object): Promise<Said> {
  const page = await browser.open(relay.url);
  return page.evaluate(
    async ([names, text]) =>
      new Promise<Said>((resolve) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, names);
        const frames: string[] = [];
        socket.addEventListener('open', () => socket.send(text as string));
        socket.addEventListener('message', ({ data }: MessageEvent<string>) => {
          const { type } = JSON.parse(data) as { type: string };
          frames.push(type);
          if (type === 'ack') socket.close(1000);
        });
        socket.addEventListener('close', ({ code }) => resolve({ frames, protocol: socket.protocol, code }));
      }),
    [protocols, JSON.stringify(frame)],
  );
}

/** The rows of the page, once all of them say something. */
async function rowsOf(relay: ServiceProcess): Promise<string[]> {
  const page = await browser.open(relay.url);
  await page.waitForFunction(() => document.querySelectorAll('li.ok, li.no').length === 3);
  return page.locator('li').evaluateAll((rows) => rows.map((row) => `${row.className} ${row.textContent}`));
}

test('a browser that opens the relay’s address sees whether it can connect from there, by which transport and from which origin', async () => {
  const [open, closed] = await Promise.all([
    startRelayProcess({ RELAY_WS_PATH: '/ws' }),
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
    // Its own WebSocket, by the raw door.
    const token = await tokenFor('alice', ['1']);
    const join = { type: 'join-group', id: 1, groupId: '1' };
    expect(await sayTo(open, ['groupcast', `groupcast.bearer.${token}`], join)).toEqual({
      frames: ['auth-success', 'joined-groups', 'ack'],
      protocol: 'groupcast',
      code: 1000,
    });
    const refused = { frames: ['auth-error'], protocol: '', code: 1008 };
    expect(await sayTo(open, [], { type: 'auth', token: 'x' })).toEqual(refused);
    expect(await sayTo(open, [], join)).toEqual(refused);
  } finally {
    await Promise.all([open.stop(), closed.stop()]);
  }
});
