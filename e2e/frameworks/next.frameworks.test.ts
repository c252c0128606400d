import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type ManagedProcess, manage, type System, startSystem, TEST_SECRETS } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  accessibilityProblems,
  type ChatBrowser,
  connected,
  expectMessages,
  groupRow,
  openGroup,
  say,
  startChatBrowser,
} from '../chat-browser.ts';
import { type InstalledExample, installExample } from './installed-example.ts';

const SECRETS = { ...TEST_SECRETS, SESSION_SECRET: 'sessions-of-the-tests-0123456789abcdef' };

let example: InstalledExample;
let system: System;
let browser: ChatBrowser;
let server: ManagedProcess;
let url: string;

beforeAll(async () => {
  [example, system, browser] = await Promise.all([
    // With the secrets, so that a build which puts them into a page is found out.
    installExample('next', { ...SECRETS, NEXT_TELEMETRY_DISABLED: '1' }),
    startSystem(),
    startChatBrowser(),
  ]);
  const port = await freePort();
  url = `http://localhost:${port}`;
  server = manage(process.execPath, ['node_modules/next/dist/bin/next', 'start', '--port', String(port)], {
    cwd: example.folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      ...SECRETS,
      NEXT_TELEMETRY_DISABLED: '1',
      API_URL: system.apiUrl,
      RELAY_URL: system.relayUrl,
    },
  });
  await server.wrote('Ready in');
});
afterEach(async () => {
  await browser.closePages();
  browser.complaints.length = 0;
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await system?.stop();
  example?.remove();
});

async function signIn(name: string): Promise<Page> {
  const page = await browser.open(url);
  await page.getByRole('button', { name }).click();
  await connected(page);
  return page;
}

async function createGroup(page: Page, name: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Group name' }).fill(name);
  await page.getByRole('button', { name: 'Create group' }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

const announcements = (page: Page) => page.getByRole('region', { name: 'Announcements' }).locator('.text');

test('Next.js: a message sent in one window appears in the other, once and in order, and nothing complains', async () => {
  const [alice, bob] = [await signIn('Alice'), await signIn('Bob')];
  await createGroup(alice, 'Corner shop');
  await openGroup(bob, 'Corner shop');
  await say(alice, 'Is the lamp still there?');
  await expectMessages(bob, ['Is the lamp still there?']);
  await say(bob, 'It is.');
  const first = ['Is the lamp still there?', 'It is.'];
  for (const page of [alice, bob]) await expectMessages(page, first);
  await createGroup(alice, 'Book club');
  await say(alice, 'Chapter one');
  await groupRow(bob, 'Book club').filter({ hasText: 'Chapter one' }).waitFor();
  await groupRow(bob, 'Book club').locator('.unread').filter({ hasText: '1' }).waitFor();
  // The end of both groups: a second copy of what came before would be on screen by now.
  await openGroup(alice, 'Corner shop');
  await say(alice, 'I will come by.');
  for (const page of [alice, bob]) await expectMessages(page, [...first, 'I will come by.']);
  // The page takes over the server’s rendering, and reads the messages that it has not.
  await bob.reload();
  await connected(bob);
  await openGroup(bob, 'Corner shop');
  await expectMessages(bob, [...first, 'I will come by.']);
  for (const page of [alice, bob]) expect(await accessibilityProblems(page)).toEqual([]);
  expect(browser.complaints).toEqual([]);
});

test('Next.js: the announce route publishes as the server, for staff alone, and says how many it has reached', async () => {
  const [alice, bob] = [await signIn('Alice'), await signIn('Bob')];
  await createGroup(alice, 'Announced');
  await openGroup(bob, 'Announced');
  await expect.poll(() => bob.getByRole('textbox', { name: 'Announcement' }).count()).toBe(0);
  await alice.getByRole('textbox', { name: 'Announcement' }).fill('We close at five.');
  await alice.getByRole('button', { name: 'Announce', exact: true }).click();
  await alice.getByRole('status').filter({ hasText: 'reached 2' }).waitFor();
  for (const page of [alice, bob])
    await expect.poll(() => announcements(page).allTextContents()).toEqual(['We close at five.']);

  const ask = async (page: Page, data: unknown) => {
    const response = await page.request.post(`${url}/api/announce`, { data });
    return { status: response.status(), code: ((await response.json()) as { error?: { code: string } }).error?.code };
  };
  const groupId = 'announced';
  expect(await ask(bob, { groupId, text: 'Free lamps!' })).toEqual({ status: 403, code: 'FORBIDDEN' });
  expect(await ask(alice, { groupId, text: '' })).toEqual({ status: 400, code: 'INVALID_PAYLOAD' });
  expect(await ask(alice, { groupId: 'no id', text: 'x' })).toEqual({ status: 400, code: 'INVALID_PAYLOAD' });
  expect(await ask(alice, [])).toEqual({ status: 400, code: 'INVALID_PAYLOAD' });
  expect(await ask(alice, 'no JSON')).toEqual({ status: 415, code: 'INVALID_PAYLOAD' });
  await expect.poll(() => announcements(bob).allTextContents()).toEqual(['We close at five.']);
});

test('Next.js: a wrong cookie gets a clear error from every route, and no secret is in anything that a browser gets', async () => {
  const alice = await signIn('Alice');
  const [cookie] = await alice.context().cookies();
  if (!cookie) throw new Error('there is no cookie');
  const page = await browser.open(url);
  // Bob's name over Alice's signature.
  await page.context().addCookies([{ ...cookie, value: cookie.value.replace('alice', 'bob') }]);
  for (const answer of [
    await page.request.get(`${url}/api/groupcast-token`),
    await page.request.post(`${url}/api/announce`, { data: { groupId: '1', text: 'x' } }),
  ]) {
    expect([answer.status(), await answer.json()]).toEqual([
      401,
      { error: { code: 'SESSION_INVALID', message: 'Your session has ended or is not valid. Sign in again.' } },
    ]);
  }
  await page.reload();
  await page.getByRole('alert').filter({ hasText: 'Your session has ended or is not valid.' }).waitFor();
  await page.context().clearCookies();
  const none = await page.request.get(`${url}/api/groupcast-token`);
  expect([none.status(), await none.json()]).toMatchObject([401, { error: { code: 'SIGNED_OUT' } }]);

  const token = await alice.request.get(`${url}/api/groupcast-token`);
  expect(token.headers()['cache-control']).toBe('no-store');
  expect(await token.json()).toMatchObject({ userId: 'alice' });
  const assets = join(example.folder, '.next/static');
  const files = readdirSync(assets, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(5);
  const sent = new Map(files.map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name), 'utf8')]));
  sent.set('the page', await alice.content());
  const tells = (text: string) => Object.values(SECRETS).some((secret) => text.includes(secret));
  expect(Array.from(sent.keys()).filter((name) => tells(sent.get(name) ?? ''))).toEqual([]);
});
