import { startSystem } from '@groupcast/testing';
import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  accessibilityProblems,
  type ChatBrowser,
  connected,
  createGroup,
  expectMessages,
  groupRow,
  messages,
  openGroup,
  PHONE,
  say,
  startChatBrowser,
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
const ticks = async (page: Page): Promise<(string | null)[]> =>
  page
    .getByRole('log')
    .getByRole('img')
    .evaluateAll((all) => all.map((tick) => tick.getAttribute('aria-label')));
/** Opens the menu of the last own message by keyboard. */
async function openMenu(page: Page): Promise<Locator> {
  await page.getByRole('button', { name: 'Message options' }).last().focus();
  await page.keyboard.press('Enter');
  const menu = page.getByRole('menu', { name: 'Message options' });
  await menu.waitFor();
  return menu;
}

test('ticks go from sent to delivered to read as the other one comes and opens the group, and stay after a reload', async () => {
  const alice = await logIn('alice');
  await createGroup(alice, 'Ticks', 'Bob');
  await say(alice, 'Are you there?');
  await expect.poll(async () => ticks(alice)).toEqual(['Sent']);
  const bob = await logIn('bob', { viewport: PHONE });
  await expect.poll(async () => ticks(alice)).toEqual(['Delivered']);
  await openGroup(bob, 'Ticks');
  await expect.poll(async () => ticks(alice)).toEqual(['Read']);
  await say(alice, 'Good.');
  await expect.poll(async () => ticks(alice)).toEqual(['Read', 'Read']);
  expect(await accessibilityProblems(alice)).toEqual([]);

  const menu = await openMenu(alice);
  await menu.getByRole('menuitem', { name: 'Read by' }).click();
  await alice.getByRole('dialog', { name: 'Read by' }).getByText('Bob').waitFor();
  expect(await accessibilityProblems(alice)).toEqual([]);
  await alice.reload();
  await connected(alice);
  await expect.poll(async () => ticks(alice)).toEqual(['Read', 'Read']);
  expect(browser.complaints).toEqual([]);
});

test('a message that one window of a user has read is read in the other one', async () => {
  const [first, second, bob] = [await logIn('alice'), await logIn('alice', { viewport: PHONE }), await logIn('bob')];
  await createGroup(bob, 'Windows', 'Alice');
  await say(bob, 'For both of you');
  await groupRow(second, 'Windows').filter({ hasText: '1 unread' }).waitFor();
  await openGroup(first, 'Windows');
  await groupRow(second, 'Windows').filter({ hasNotText: 'unread' }).waitFor();
});

test('typing is shown to the others, over with the message and an empty field; members are online, or were last here at some time', async () => {
  const [alice, bob] = [await logIn('alice'), await logIn('bob')];
  await createGroup(alice, 'Typing', 'Bob');
  await openGroup(bob, 'Typing');
  const composer = alice.getByRole('textbox', { name: 'Message' });
  const line = bob.locator('[aria-live=polite]').filter({ hasText: 'Alice is typing' });
  await composer.pressSequentially('Hm');
  await line.waitFor();
  expect(await alice.getByText('is typing').count()).toBe(0);
  await composer.fill('');
  await line.waitFor({ state: 'detached' });
  await composer.pressSequentially('Hello');
  await line.waitFor();
  await alice.keyboard.press('Enter');
  await expectMessages(bob, ['Hello']);
  await line.waitFor({ state: 'detached' });

  await alice.getByRole('button', { name: '2 members, 2 online' }).click();
  const rows = alice.getByRole('dialog', { name: 'Members' }).getByRole('listitem').filter({ hasText: 'Bob' });
  await rows.getByText('online').waitFor();
  expect(await accessibilityProblems(alice)).toEqual([]);
  await bob.close();
  await rows.getByText(/last seen at|offline/).waitFor();
  await alice.keyboard.press('Escape');
  await alice.getByRole('button', { name: '2 members, 1 online' }).waitFor();
});

test('by keyboard, an own message is edited and deleted for everybody; a refusal brings it back', async () => {
  const [alice, bob] = [await logIn('alice'), await logIn('bob')];
  await createGroup(alice, 'Changes', 'Bob');
  await say(alice, 'first');
  await say(alice, 'secnod');
  await openGroup(bob, 'Changes');
  await expectMessages(bob, ['first', 'secnod']);
  // Nobody is offered to change what others have said.
  expect(await bob.getByRole('button', { name: 'Message options' }).count()).toBe(0);

  await openMenu(alice);
  expect(await accessibilityProblems(alice)).toEqual([]);
  await alice.keyboard.press('Escape');
  expect(await alice.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Message options');
  await openMenu(alice);
  await alice.keyboard.press('Enter');
  await alice.getByText('Editing a message').waitFor();
  await alice.keyboard.press('Escape');
  await alice.getByText('Editing a message').waitFor({ state: 'detached' });
  await openMenu(alice);
  await alice.keyboard.press('Enter');
  await alice.getByRole('textbox', { name: 'Message' }).fill('second');
  await alice.keyboard.press('Enter');
  for (const page of [alice, bob]) await expectMessages(page, ['first', 'second']);
  await messages(bob).last().locator('..').getByText('edited').waitFor();

  const refusal = { error: { code: 'FORBIDDEN', message: 'told to refuse', retryable: false } };
  await alice.route('**/messages/*', (route) => route.fulfill({ status: 403, json: refusal }), { times: 1 });
  await openMenu(alice);
  await alice.keyboard.press('ArrowDown');
  await alice.keyboard.press('Enter');
  await alice.getByRole('button', { name: 'Delete message' }).click();
  await alice.getByRole('alert').filter({ hasText: 'told to refuse' }).waitFor();
  await expectMessages(alice, ['first', 'second']);
  await alice.getByRole('button', { name: 'Dismiss' }).click();

  await openMenu(alice);
  await alice.keyboard.press('ArrowDown');
  await alice.keyboard.press('Enter');
  await alice.getByRole('button', { name: 'Delete message' }).click();
  for (const page of [alice, bob]) await expectMessages(page, ['first']);
});

test('a message elsewhere notifies a user who has allowed it and looks at something else, and one on screen does not', async () => {
  const alice = await logIn('alice', { permissions: ['notifications'] });
  // Browsers without a screen show none: the page’s own is watched.
  await alice.evaluate(() => {
    const shown: string[] = [];
    class Watched extends EventTarget {
      static permission = 'granted';
      constructor(title: string, { body }: { body: string }) {
        super();
        shown.push(`${title}: ${body}`);
      }
      close(): void {}
    }
    Object.assign(window, { Notification: Watched, shown });
    document.hasFocus = () => false;
  });
  const shown = async (): Promise<string[]> => alice.evaluate(() => (window as unknown as { shown: string[] }).shown);
  const bob = await logIn('bob');
  await createGroup(bob, 'Elsewhere', 'Alice');
  await groupRow(alice, 'Elsewhere').waitFor();
  await alice.getByRole('button', { name: 'Turn on notifications' }).click();
  await alice.getByRole('button', { name: 'Turn off notifications' }).waitFor();
  await openGroup(alice, 'Lobby');
  await say(bob, 'Look here');
  await expect.poll(shown).toEqual(['Bob in Elsewhere: Look here']);
  await expect.poll(() => alice.title()).toContain('(1)');
  await openGroup(alice, 'Elsewhere');
  await alice.getByText('New messages').waitFor();
  await say(bob, 'Now you do');
  await expectMessages(alice, ['Look here', 'Now you do']);
  expect(await shown()).toHaveLength(1);
  await expect.poll(() => alice.title()).not.toContain('(');
});
