import { mkdir } from 'node:fs/promises';
import { startSystem, tokenFor } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  accessibilityProblems,
  type ChatBrowser,
  connected,
  countLoads,
  createGroup,
  expectMessages,
  groupRow,
  messages,
  openGroup,
  PHONE,
  say,
  startChatBrowser,
  WINDOW,
} from './chat-browser.ts';

let system: Awaited<ReturnType<typeof startSystem>>;
let browser: ChatBrowser;

beforeAll(async () => {
  [system, browser] = await Promise.all([startSystem(), startChatBrowser()]);
});
afterEach(async () => {
  await browser.closePages();
  browser.complaints.length = 0;
});
afterAll(async () => {
  await browser?.close();
  await system?.stop();
});

async function logIn(name: string, options: Parameters<ChatBrowser['open']>[1] = {}): Promise<Page> {
  const page = await browser.open(`${system.apiUrl}/?user=${name}`, options);
  await connected(page);
  return page;
}

async function callAs<T>(user: string, path: string, body: object): Promise<T> {
  const response = await fetch(`${system.apiUrl}/api/messaging/groups${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenFor(`demo:${user}`)}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(201);
  return (await response.json()) as T;
}

/** A group of Alice and Bob, with `count` messages by Bob. */
async function groupWith(name: string, count: number): Promise<string> {
  const { group } = await callAs<{ group: { id: string } }>('bob', '', { name, memberIds: ['demo:alice'] });
  for (let n = 1; n <= count; n += 1) await callAs('bob', `/${group.id}/messages`, { content: `${name} ${n}` });
  return group.id;
}
const numbered = (name: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${name} ${from + index}`);

test('a page of another origin may use every route, by its own method', async () => {
  const { paths } = (await (await fetch(`${system.apiUrl}/docs/json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: path.replaceAll(/\{\w+\}/g, 'x') })),
  );
  expect(new Set(routes.map(({ method }) => method))).toEqual(new Set(['GET', 'POST', 'PATCH', 'DELETE']));
  // The relay's own line of text: nothing is closer by, and has another origin.
  const page = await browser.open(system.relayUrl);
  const given = { api: system.apiUrl, token: await tokenFor('demo:alice'), routes };
  const answers = await page.evaluate(
    async ({ api, token, routes: asked }) =>
      Promise.all(
        asked.map(async ({ method, path }) => {
          const headers = {
            authorization: `Bearer ${token}`,
            'content-type': 'application/json',
            'idempotency-key': 'x',
          };
          const init = { method, headers, ...(method === 'GET' ? {} : { body: '{}' }) };
          const status = await fetch(`${api}${path}`, init).then(
            (answer) => answer.status,
            () => 0,
          );
          return { route: `${method} ${path}`, readable: status > 0 };
        }),
      ),
    given,
  );
  expect(answers.filter(({ readable }) => !readable)).toEqual([]);
  expect(answers.length).toBeGreaterThan(15);
});

test('Alice and Bob read each other live, once and in order, without a reload', async () => {
  const alice = await logIn('alice');
  const bob = await logIn('bob');
  const loads = [countLoads(alice), countLoads(bob)];
  await openGroup(alice, 'Lobby');
  await openGroup(bob, 'Lobby');

  await say(alice, 'Hello Bob, do you see this?');
  await expectMessages(bob, ['Hello Bob, do you see this?']);
  await say(bob, 'I do. Right away.');
  await say(bob, 'Do you see mine?');
  const all = ['Hello Bob, do you see this?', 'I do. Right away.', 'Do you see mine?'];
  await expectMessages(alice, all);
  // What Alice sees came after everything before it, so a second copy would be on screen by now.
  await expectMessages(bob, all);

  await createGroup(alice, 'Lunch', 'Bob');
  await groupRow(bob, 'Lunch').waitFor();
  // Bob is still in the Lobby: the message counts there, and is there when he opens the group.
  await say(alice, 'Pizza at twelve?');
  await groupRow(bob, 'Lunch').filter({ hasText: '1 unread' }).filter({ hasText: 'Pizza at twelve?' }).waitFor();
  await openGroup(bob, 'Lunch');
  await expectMessages(bob, ['Pizza at twelve?']);
  await say(bob, 'Count me in.');
  await expectMessages(alice, ['Pizza at twelve?', 'Count me in.']);
  await groupRow(bob, 'Lunch').filter({ hasNotText: 'unread' }).waitFor();

  expect(loads.map((count) => count())).toEqual([0, 0]);
  expect(browser.complaints).toEqual([]);
  if (process.env['SCREENSHOT']) await saveScreenshots(alice, bob);
});

test('a window is whoever logs in, or whom ?user= names at once, and still is after a reload', async () => {
  const page = await browser.open(system.apiUrl);
  await page.getByRole('textbox', { name: 'Your name' }).fill('Dora');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('Dora', { exact: true }).waitFor();
  await page.goto(`${system.apiUrl}/?user=carol`);
  await page.getByText('Carol', { exact: true }).waitFor();
  await connected(page);
  await page.reload();
  await connected(page);
  await page.getByText('Carol', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('textbox', { name: 'Your name' }).waitFor();
  expect(browser.complaints).toEqual([]);
});

test('a double click on send is one message, and so are two presses before the page is drawn again', async () => {
  const alice = await logIn('alice');
  const bob = await logIn('bob');
  await createGroup(alice, 'Clicks', 'Bob');
  await openGroup(bob, 'Clicks');
  const send = alice.getByRole('button', { name: 'Send' });

  await alice.getByRole('textbox', { name: 'Message' }).fill('double');
  await send.dblclick();
  await alice.getByRole('textbox', { name: 'Message' }).fill('at once');
  await send.evaluate((button: HTMLButtonElement) => {
    button.click();
    button.click();
  });
  await say(alice, 'last');
  await expectMessages(alice, ['double', 'at once', 'last']);
  await expectMessages(bob, ['double', 'at once', 'last']);
});

test('what was said in another group is there when one comes back to it, without a question', async () => {
  const [near, far] = [await groupWith('Near', 3), await groupWith('Far', 3)];
  const alice = await logIn('alice');
  await openGroup(alice, 'Near');
  await expectMessages(alice, numbered('Near', 1, 3));
  await openGroup(alice, 'Far');
  await expectMessages(alice, numbered('Far', 1, 3));
  const questions: string[] = [];
  alice.on('request', (request) => questions.push(request.url()));
  for (const n of [4, 5]) await callAs('bob', `/${near}/messages`, { content: `Near ${n}` });
  await groupRow(alice, 'Near').filter({ hasText: '2 unread' }).waitFor();
  await openGroup(alice, 'Near');
  await expectMessages(alice, numbered('Near', 1, 5));
  await callAs('bob', `/${far}/messages`, { content: 'Far 4' });
  await alice.goBack();
  await expectMessages(alice, numbered('Far', 1, 4));
  expect(questions.filter((url) => url.includes('/messages'))).toEqual([]);
});

test('older pages come in above what is read, which stays where it is; new messages below do not move it', async () => {
  const id = await groupWith('Long', 120);
  const alice = await logIn('alice');
  await openGroup(alice, 'Long');
  await expectMessages(alice, numbered('Long', 71, 120));
  const log = alice.getByRole('log');
  const isAtEnd = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight < 2);
  await expect.poll(isAtEnd).toBe(true);

  /** Scrolls to `text`, and says where it is then. */
  const placeOf = async (text: string) => (await messages(alice).getByText(text, { exact: true }).boundingBox())?.y;
  await log.evaluate((element) => element.scrollTo({ top: 200 }));
  const before = await placeOf('Long 73');
  await expectMessages(alice, numbered('Long', 21, 120));
  expect(Math.abs(((await placeOf('Long 73')) ?? 0) - (before ?? 0))).toBeLessThan(3);

  await callAs('bob', `/${id}/messages`, { content: 'Long 121' });
  await alice.getByRole('button', { name: '1 new message' }).waitFor();
  await groupRow(alice, 'Long').filter({ hasText: '1 unread' }).waitFor();
  expect(Math.abs(((await placeOf('Long 73')) ?? 0) - (before ?? 0))).toBeLessThan(3);
  await log.evaluate((element) => element.scrollTo({ top: 0 }));
  await expectMessages(alice, numbered('Long', 1, 121));
  await alice.getByRole('button', { name: '1 new message' }).click();
  await groupRow(alice, 'Long').filter({ hasNotText: 'unread' }).waitFor();
  await expect.poll(isAtEnd).toBe(true);
  await callAs('bob', `/${id}/messages`, { content: 'Long 122' });
  await expectMessages(alice, numbered('Long', 1, 122));
  await expect.poll(isAtEnd).toBe(true);
});

test('a message that is refused says why, and can be discarded or tried again', async () => {
  const alice = await logIn('alice');
  await createGroup(alice, 'Refusals', 'Bob');
  await say(alice, 'x'.repeat(70_000));
  const failure = alice.getByRole('alert').filter({ hasText: 'Not sent' });
  await failure.filter({ hasText: /70[0-9]{3} bytes/ }).waitFor();
  await failure.getByRole('button', { name: 'Try again' }).click();
  await failure.filter({ hasText: /70[0-9]{3} bytes/ }).waitFor();
  await failure.getByRole('button', { name: 'Discard' }).click();
  await say(alice, 'short');
  await expectMessages(alice, ['short']);
});

test('by keyboard alone: to a group, into the composer, sent; in both colours nothing for axe to complain about', async () => {
  await groupWith('Keys', 2);
  await groupWith('Newer', 1);
  const alice = await logIn('alice', { colorScheme: 'light' });
  await groupRow(alice, 'Keys').focus();
  await alice.keyboard.press('Enter');
  await alice.getByRole('heading', { name: 'Keys', level: 1 }).waitFor();
  await alice.keyboard.type('typed');
  await alice.keyboard.press('Shift+Enter');
  await alice.keyboard.type('on');
  await alice.keyboard.press('Enter');
  await expectMessages(alice, ['Keys 1', 'Keys 2', 'typed\non']);
  await alice.getByRole('img', { name: 'Sent' }).waitFor();
  expect(await accessibilityProblems(alice)).toEqual([]);
  await alice.getByRole('button', { name: 'Use dark colours' }).click();
  const background = () => alice.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await expect.poll(background).toBe('rgb(17, 20, 19)');
  expect(await accessibilityProblems(alice)).toEqual([]);
});

test('on a phone it is either the groups or a conversation, and back', async () => {
  await groupWith('Pocket', 2);
  const alice = await logIn('alice', { viewport: PHONE, hasTouch: true, isMobile: true });
  await groupRow(alice, 'Pocket').click();
  await expectMessages(alice, numbered('Pocket', 1, 2));
  expect(await groupRow(alice, 'Pocket').isVisible()).toBe(false);
  const overflow = () => alice.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(await overflow()).toBeLessThanOrEqual(0);
  await alice.getByRole('button', { name: 'Back to the groups' }).click();
  await groupRow(alice, 'Pocket').waitFor();
  expect(await overflow()).toBeLessThanOrEqual(0);
  await alice.goBack();
  await expectMessages(alice, numbered('Pocket', 1, 2));
  expect(await accessibilityProblems(alice)).toEqual([]);
});

/** Both windows in the Lobby side by side; the same on a phone, and in dark. */
async function saveScreenshots(alice: Page, bob: Page): Promise<void> {
  await mkdir('docs/screens', { recursive: true });
  for (const page of [alice, bob]) await openGroup(page, 'Lobby');
  const shots = await Promise.all([alice, bob].map((page) => page.screenshot()));
  const frame = await browser.open('about:blank', {
    viewport: { width: WINDOW.width * 2 + 72, height: WINDOW.height + 48 },
  });
  const images = shots.map((shot) => `<img alt="" src="data:image/png;base64,${shot.toString('base64')}">`);
  await frame.setContent(
    `<style>
      body { display: flex; gap: 24px; margin: 0; padding: 24px; background: #d9d6cd }
      img { border-radius: 12px; box-shadow: 0 6px 24px #0003 }
    </style>${images.join('')}`,
  );
  await frame.screenshot({ path: 'docs/demo.png' });
  const dark = await logIn('alice', { colorScheme: 'dark', viewport: { width: 1100, height: WINDOW.height } });
  await openGroup(dark, 'Lobby');
  await messages(dark).first().waitFor();
  await dark.screenshot({ path: 'docs/screens/dark.png' });
  const phone = await logIn('bob', { viewport: PHONE, deviceScaleFactor: 2 });
  await groupRow(phone, 'Lobby').waitFor();
  await phone.screenshot({ path: 'docs/screens/phone-groups.png' });
  await openGroup(phone, 'Lobby');
  await messages(phone).first().waitFor();
  await phone.screenshot({ path: 'docs/screens/phone.png' });
}
