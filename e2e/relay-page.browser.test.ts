import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBroadcaster } from '@groupcast/broadcaster';
import { type DoctorReport, doctorReportSchema } from '@groupcast/shared';
import { type ServiceProcess, startRelayProcess, TEST_SECRETS, tokenFor, tokenWith } from '@groupcast/testing';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { accessibilityProblems, type ChatBrowser, startChatBrowser } from './chat-browser.ts';
import type { DoctorPage } from './doctor/page.ts';
import { ROOT, serve } from './published-app.ts';

let browser: ChatBrowser;
let folder: string;
let pages: Server;
let open: ServiceProcess;
let closed: ServiceProcess;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'groupcast-doctor-'));
  const root = join(ROOT, 'e2e/doctor');
  [browser, open, closed] = await Promise.all([
    startChatBrowser(),
    startRelayProcess({ RELAY_WS_PATH: '/ws' }),
    startRelayProcess({ SOCKET_CORS_ORIGIN: 'https://app.test' }),
    build({ configFile: false, logLevel: 'error', root, build: { outDir: folder } }),
  ]);
  pages = await serve(folder);
});
afterEach(async () => browser.closePages());
afterAll(async () => {
  await Promise.all([browser?.close(), open?.stop(), closed?.stop()]);
  pages?.close();
  rmSync(folder, { recursive: true, force: true });
});

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
          // Presence comes before the answer, or behind it.
          if (type !== 'presence') frames.push(type);
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
  const joining = { type: 'join-group', id: 1, groupId: '1' };
  expect(await sayTo(open, ['groupcast', `groupcast.bearer.${token}`], joining)).toEqual({
    frames: ['auth-success', 'joined-groups', 'ack'],
    protocol: 'groupcast',
    code: 1000,
  });
  const refused = { frames: ['auth-error'], protocol: '', code: 1008 };
  expect(await sayTo(open, [], { type: 'auth', token: 'x' })).toEqual(refused);
  expect(await sayTo(open, [], joining)).toEqual(refused);
});

declare const page: DoctorPage;

/** A page with a socket of its own, a doctor, and the doctor's panel. */
async function openPage(relay: string, token: string, options: BrowserContextOptions = {}): Promise<Page> {
  const { port } = pages.address() as AddressInfo;
  const window = await browser.open(`http://127.0.0.1:${port}/index.html#${new URLSearchParams({ relay, token })}`, {
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
  });
  await window.evaluate(() => page.doctor.open());
  return window;
}
const panelOf = (window: Page) => window.getByRole('dialog', { name: 'Groupcast doctor' });
const says = async (window: Page, text: string | RegExp): Promise<void> =>
  panelOf(window).getByRole('status').filter({ hasText: text }).waitFor();
const copyReport = async (window: Page): Promise<DoctorReport> => {
  await window.getByRole('button', { name: 'Copy report' }).click();
  await panelOf(window).getByText('Copied').waitFor();
  return doctorReportSchema.parse(JSON.parse(await window.evaluate(() => navigator.clipboard.readText())));
};
const publish = async (count: number): Promise<void> => {
  const broadcaster = createBroadcaster({ url: open.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  for (let n = 0; n < count; n += 1) {
    await broadcaster.broadcastMessage({ groupId: '7', message: { senderId: 'bob', content: 'private' } });
  }
  await broadcaster.close();
};

test('a page with a doctor is told what it missed, and its report has no word of it (G88)', async () => {
  const window = await openPage(open.url, await tokenFor('alice', ['7']));
  await says(window, 'All well: connected, in 1 group, nothing missing.');
  await publish(2);
  await window.getByText('private private').waitFor();
  await says(window, 'All well');
  await window.evaluate(() => page.socket.disconnect());
  await says(window, 'The page closed the connection.');
  await publish(3);
  await window.evaluate(() => page.socket.connect());
  await says(window, /Group 7 is 3 messages behind: head 5, last seen 2\./);
  if (process.env['SCREENSHOT']) await window.screenshot({ path: 'docs/screens/doctor-behind.png' });
  const report = await copyReport(window);
  expect(report.groups).toMatchObject([{ groupId: '7', behind: 3, events: 2 }]);
  expect(report.events.filter(({ event }) => event === 'new-message')).toHaveLength(2);
  expect(JSON.stringify(report)).not.toMatch(/private|alice|bob/);
});

test('a page whose token runs out, and one whose origin is refused, are told so (G88)', async () => {
  const refused = await openPage(closed.url, await tokenFor('alice'));
  const now = Math.floor(Date.now() / 1_000);
  // Long enough for the page to connect with it, also beside other work.
  const token = await tokenWith({ sub: 'alice', groups: ['7'], iat: now, exp: now + 5 });
  const short = await openPage(open.url, token);
  await says(
    refused,
    `Origin refused: the relay answers, but not to http://127.0.0.1:${(pages.address() as AddressInfo).port}.`,
  );
  await says(short, /Token expired \d+ s ago: the page does not send a new one\./);
  expect(await copyReport(short)).toMatchObject({
    connection: { state: 'disconnected', ending: { code: 'TOKEN_EXPIRED' } },
    token: { kind: 'jwt', sent: 1 },
  });
});

test('the panel of the doctor is a stranger to the page, and can be used by keyboard, in both colours', async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const window = await openPage(open.url, await tokenFor('alice', ['7', '8']), { colorScheme });
    await window.evaluate(() => page.doctor.close());
    await window.getByRole('button', { name: 'Send' }).focus();
    await window.evaluate(() => page.doctor.open());
    await publish(1);
    await says(window, 'All well');
    const style = (text: string) =>
      window
        .getByText(text, { exact: true })
        .first()
        .evaluate((element) => getComputedStyle(element).letterSpacing);
    expect([
      await style('Copy report'),
      await style('All well: connected, in 2 groups, nothing missing.'),
      await style('Send'),
    ]).toEqual(['normal', 'normal', '5px']);
    expect(await accessibilityProblems(window)).toEqual([]);
    if (process.env['SCREENSHOT']) await window.screenshot({ path: `docs/screens/doctor-${colorScheme}.png` });
    await window.keyboard.press('Tab');
    await window.keyboard.press('Enter');
    await panelOf(window).getByText('Copied').waitFor();
    await window.keyboard.press('Escape');
    await panelOf(window).waitFor({ state: 'detached' });
    expect(await window.evaluate(() => document.activeElement?.id)).toBe('send');
  }
});

test('a report can be copied where the page may not write to the clipboard', async () => {
  const window = await openPage(open.url, await tokenFor('alice', ['7']));
  await says(window, 'All well');
  await window.evaluate(() =>
    Object.defineProperty(navigator.clipboard, 'writeText', { value: () => Promise.reject() }),
  );
  expect(await copyReport(window)).toMatchObject({ version: 1 });
});
