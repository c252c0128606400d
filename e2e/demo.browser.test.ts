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
  logIn as logInAt,
  messages,
  openGroup,
  PHONE,
  say,
  startChatBrowser,
  status,
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

const logIn = async (name: string, options: Parameters<ChatBrowser['open']>[1] = {}): Promise<Page> =>
  logInAt(browser, system.apiUrl, name, options);

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

test('a page of another origin may use every route, by its own method (G36)', async () => {
  const { paths } = (await (await fetch(`${system.apiUrl}/docs/json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: path.replaceAll(/\{\w+\}/g, 'x') })),
  );
  expect(new Set(routes.map(({ method }) => method))).toEqual(new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']));
  // The relay's own line of text: nothing is closer by, and has another origin.
  const page = await browser.open(`${system.relayUrl}/livez`);
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
          const readable = await fetch(`${api}${path}`, init).then(
            () => true,
            () => false,
          );
          return { route: `${method} ${path}`, readable };
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
  // Messages that Alice sees came after all earlier ones, so a second copy would be on screen by now.
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

test('a window is the user that logs in, or that ?user= names at once, and still is after a reload', async () => {
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

test('a double click on send is one message, and so are two presses before the page is drawn again (G20)', async () => {
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

test('messages of another group are there on coming back to it, without a request', async () => {
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

test('a message that is refused for what it is says why, and can be edited or discarded: the same again would not help', async () => {
  const alice = await logIn('alice');
  await createGroup(alice, 'Refusals', 'Bob');
  await say(alice, 'x'.repeat(70_000));
  const failure = alice.getByRole('alert').filter({ hasText: 'Not sent' });
  await failure.filter({ hasText: /70[0-9]{3} bytes/ }).waitFor();
  expect(await failure.getByRole('button').allTextContents()).toEqual(['Edit', 'Discard']);
  await alice.getByRole('textbox', { name: 'Message' }).fill('written meanwhile');
  await failure.getByRole('button', { name: 'Edit' }).click();
  await failure.waitFor({ state: 'detached' });
  const text = () => alice.getByRole('textbox', { name: 'Message' }).inputValue();
  await expect.poll(text).toBe(`${'x'.repeat(70_000)}\nwritten meanwhile`);
  await say(alice, 'y'.repeat(70_000));
  await failure.getByRole('button', { name: 'Discard' }).click();
  await say(alice, 'short');
  await expectMessages(alice, ['short']);
});

test('without a network the page says so, messages on their way can be read, and it is live again with the network (G54)', async () => {
  const alice = await logIn('alice');
  await createGroup(alice, 'Tunnel', 'Bob');
  await alice.context().setOffline(true);
  await status(alice, 'Offline').waitFor();
  await alice.getByText('You are offline').waitFor();
  await say(alice, 'later');
  await alice.getByText('Sending').waitFor();
  expect(await accessibilityProblems(alice)).toEqual([]);
  await alice.getByRole('button', { name: 'Use dark colours' }).click();
  expect(await accessibilityProblems(alice)).toEqual([]);
  await alice.context().setOffline(false);
  await connected(alice);
  await alice.getByRole('img', { name: 'Sent' }).waitFor();
});

test('on the narrowest phone, with names and texts of any length and script, nothing overlaps or sticks out', async () => {
  const long = `demo:${'x'.repeat(60)}`;
  const family = `demo:${encodeURIComponent('👩‍👩‍👧 family')}`;
  const name = 'The very long name of a group that nobody has made for phones';
  const body = { name, memberIds: ['demo:alice', family] };
  const { group } = await callAs<{ group: { id: string } }>(long.slice(5), '', body);
  const link = 'https://example.com/a/very/long/path/that/goes/on/and/on?query=string';
  for (const content of [`See ${link}, please.`, 'שלום, מה שלומך?', 'y'.repeat(300)])
    await callAs(long.slice(5), `/${group.id}/messages`, { content });
  await callAs(family.slice(5), `/${group.id}/messages`, { content: '<b>not bold</b> javascript:alert(1)' });

  const alice = await logIn('alice', { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true });
  await groupRow(alice, name).filter({ hasText: '4 unread' }).click();
  await alice.getByText('not bold').last().waitFor();
  expect(await alice.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  const overlaps = await alice.evaluate(() => {
    const boxes = Array.from(document.querySelectorAll('.app-header > *, .avatar'), (part) =>
      part.getBoundingClientRect(),
    );
    const shown = boxes.filter(({ width }) => width > 1);
    const isInside = (a: DOMRect, b: DOMRect) => a.left >= b.left && a.right <= b.right;
    return shown.flatMap((a, index) =>
      shown
        .slice(index + 1)
        .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
        .filter((b) => !isInside(a, b) && !isInside(b, a))
        .map((b) => [a.left, b.left]),
    );
  });
  expect(overlaps).toEqual([]);
  expect((await alice.getByRole('textbox', { name: 'Message' }).boundingBox())?.height).toBeLessThan(60);

  const links = alice.getByRole('log').getByRole('link');
  expect(await links.allTextContents()).toEqual([link]);
  expect([await links.getAttribute('href'), await links.getAttribute('target')]).toEqual([link, '_blank']);
  expect(await links.getAttribute('rel')).toContain('noopener');
  const direction = (text: string) =>
    messages(alice)
      .filter({ hasText: text })
      .evaluate((element) => getComputedStyle(element).direction);
  expect([await direction('שלום'), await direction('See')]).toEqual(['rtl', 'ltr']);
  // A page cannot show half of a character.
  const initials = await alice.locator('.message .avatar').allTextContents();
  expect(initials).toEqual(['X', '👩‍👩‍👧F']);

  // Everything was unread, and reading begins above the first.
  const first = alice.getByRole('log').getByRole('listitem').first();
  await first.getByText('New messages').waitFor();
  expect(await alice.getByText('New messages').count()).toBe(1);
  expect(await accessibilityProblems(alice)).toEqual([]);
});

test('by keyboard, the composer is a few stops away, however many groups and links there are', async () => {
  const id = await groupWith('Stops', 1);
  for (let n = 0; n < 40; n += 1) await groupWith(`Stop ${n}`, 0);
  const content = Array.from({ length: 40 }, (_, n) => `https://example.com/${n}`).join(' ');
  await callAs('bob', `/${id}/messages`, { content });
  const alice = await logIn('alice');
  await openGroup(alice, 'Stops');
  await alice.getByRole('link', { name: 'https://example.com/39' }).waitFor();
  const focused = () => alice.evaluate(() => document.activeElement?.textContent ?? '');
  const isComposer = () => alice.evaluate(() => document.activeElement?.tagName === 'TEXTAREA');
  const toTop = () => alice.evaluate(() => document.querySelector<HTMLElement>('button, a, textarea')?.focus());

  await toTop();
  expect(await focused()).toBe('Skip to the message field');
  await alice.keyboard.press('Enter');
  expect(await isComposer()).toBe(true);
  await toTop();
  let stops = 0;
  for (; stops < 100 && !(await isComposer()); stops += 1) await alice.keyboard.press('Tab');
  expect(stops).toBeLessThan(14);

  // Inside a list the arrow keys move, and the list is left and entered where one was.
  await groupRow(alice, 'Stops').focus();
  await alice.keyboard.press('End');
  const last = await focused();
  await alice.keyboard.press('ArrowUp');
  expect(await focused()).not.toBe(last);
  await alice.keyboard.press('Home');
  await alice.keyboard.press('ArrowUp');
  expect(await focused()).toContain('Stops');
  await alice.getByRole('link', { name: 'https://example.com/39' }).focus();
  await alice.keyboard.press('ArrowUp');
  expect(await focused()).toBe('https://example.com/38');
});

test('with ?groupcast-doctor the doctor looks at the demo’s client; without, nothing of it is loaded', async () => {
  await groupWith('Doctor', 2);
  const isDoctor = (url: string) => /doctor|panel/.test(new URL(url).pathname);
  const scriptsOf = (page: Page) =>
    page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  const bob = await logIn('bob');
  expect((await scriptsOf(bob)).filter(isDoctor)).toEqual([]);

  const alice = await browser.open(`${system.apiUrl}/?user=alice&groupcast-doctor`);
  await connected(alice);
  const panel = alice.getByRole('dialog', { name: 'Groupcast doctor' });
  await panel.getByRole('status').filter({ hasText: 'All well: connected, in' }).waitFor();
  await panel.getByText('SDK connected').waitFor();
  expect((await scriptsOf(alice)).filter(isDoctor)).not.toEqual([]);
  await panel.press('Escape');
  await panel.waitFor({ state: 'detached' });
  await openGroup(alice, 'Doctor');
  await expectMessages(alice, numbered('Doctor', 1, 2));
  expect(browser.complaints).toEqual([]);
});

test('groups that cannot be loaded are not said to be loading', async () => {
  const page = await browser.open(system.apiUrl);
  const error = { code: 'INTERNAL', message: 'told to fail', retryable: false };
  await page.route('**/api/messaging/groups?*', (route) => route.fulfill({ status: 500, json: { error } }));
  await page.goto(`${system.apiUrl}/?user=alice`);
  await page.getByRole('alert').filter({ hasText: 'told to fail' }).waitFor();
  await page.getByText('Your groups could not be loaded.').waitFor();
  expect(await page.getByText('Loading your groups').count()).toBe(0);
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
  await bob.getByRole('textbox', { name: 'Message' }).pressSequentially('Do you');
  await alice.getByText('Bob is typing').waitFor();
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
