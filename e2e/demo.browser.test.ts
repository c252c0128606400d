import { mkdir } from 'node:fs/promises';
import { startSystem } from '@groupcast/testing';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

const SCREENSHOT = 'docs/demo.png';
const WINDOW = { width: 760, height: 720 };

let system: Awaited<ReturnType<typeof startSystem>>;
let browser: Browser;
/** What the pages complained about: script errors, blocked styles, failed requests. */
const complaints: string[] = [];

beforeAll(async () => {
  system = await startSystem();
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
});

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
});

afterAll(async () => {
  await browser?.close();
  await system?.stop();
});

/** A browser of one's own: nothing is shared between two people, not even storage. */
async function openPage(address: string): Promise<Page> {
  const context = await browser.newContext({ viewport: WINDOW });
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(address);
  return page;
}

async function logIn(name: string): Promise<Page> {
  const page = await openPage(system.apiUrl);
  await page.getByRole('textbox', { name: 'Your name' }).fill(name);
  await page.getByRole('button', { name: 'Log in' }).click();
  await connected(page);
  return page;
}

async function connected(page: Page): Promise<void> {
  await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
}

function groupRow(page: Page, name: string): Locator {
  return page.getByRole('navigation', { name: 'Groups' }).getByRole('button').filter({ hasText: name });
}

async function openGroup(page: Page, name: string): Promise<void> {
  await groupRow(page, name).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  const input = page.getByRole('textbox', { name: 'Message' });
  await input.fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

/** Waits until exactly these messages are on screen, each once and in this order. */
async function expectMessages(page: Page, texts: string[]): Promise<void> {
  const contents = page.getByRole('log', { name: 'Messages' }).locator('.content');
  await expect.poll(() => contents.allTextContents(), { timeout: 10_000 }).toEqual(texts);
}

/** How often the page has been loaded since this call. */
function countLoads(page: Page): () => number {
  let loads = 0;
  page.on('load', () => {
    loads += 1;
  });
  return () => loads;
}

test('Alice and Bob read each other live, once and in order, without a reload', async () => {
  const alice = await logIn('Alice');
  const bob = await logIn('Bob');
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

  await alice.getByRole('button', { name: 'New group' }).click();
  await alice.getByRole('textbox', { name: 'Group name' }).fill('Lunch');
  await alice.getByRole('textbox', { name: 'Members' }).fill('Bob');
  await alice.getByRole('button', { name: 'Create group' }).click();
  await alice.getByRole('heading', { name: 'Lunch', level: 1 }).waitFor();
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
  expect(complaints).toEqual([]);
  if (process.env['SCREENSHOT']) await saveScreenshot([alice, bob]);
});

test('a window opened with ?user= is that person at once, and still is after a reload', async () => {
  const page = await openPage(`${system.apiUrl}/?user=carol`);
  await connected(page);
  await page.getByText('Carol', { exact: true }).waitFor();
  await page.reload();
  await connected(page);
  await page.getByText('Carol', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('textbox', { name: 'Your name' }).waitFor();
  expect(complaints).toEqual([]);
});

/** Both windows in the Lobby side by side, as one picture. */
async function saveScreenshot(pages: Page[]): Promise<void> {
  for (const page of pages) await openGroup(page, 'Lobby');
  const shots = await Promise.all(pages.map((page) => page.screenshot()));
  const context = await browser.newContext({ viewport: { width: WINDOW.width * 2 + 72, height: WINDOW.height + 48 } });
  const frame = await context.newPage();
  const images = shots.map((shot) => `<img alt="" src="data:image/png;base64,${shot.toString('base64')}">`);
  await frame.setContent(
    `<style>
      body { display: flex; gap: 24px; margin: 0; padding: 24px; background: #d9d6cd }
      img { border-radius: 12px; box-shadow: 0 6px 24px #0003 }
    </style>${images.join('')}`,
  );
  await mkdir('docs', { recursive: true });
  await frame.screenshot({ path: SCREENSHOT });
}
