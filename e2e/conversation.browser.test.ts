import { startApiProcess, startNode, startRelayProcess, startSystem } from '@groupcast/testing';
import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  accessibilityProblems,
  type ChatBrowser,
  connected,
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
} from './chat-browser.ts';

/** A camera and a microphone that need no permission; and a way from page to page where the machine has no network at all. */
const CALL_FLAGS = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--allow-loopback-in-peer-connection',
];

let system: Awaited<ReturnType<typeof startSystem>>;
let browser: ChatBrowser;

beforeAll(async () => {
  [system, browser] = await Promise.all([startSystem(), startChatBrowser(undefined, { flags: CALL_FLAGS })]);
});
afterEach(async () => {
  await browser.closePages();
  browser.complaints.length = 0;
  expect(system.relay.output(), 'events of the API are shown as it made them').not.toContain('FIELDS_REPLACED');
});
afterAll(async () => {
  await browser?.close();
  await system?.stop();
});

const logIn = async (name: string, options: Parameters<ChatBrowser['open']>[1] = {}): Promise<Page> =>
  logInAt(browser, system.apiUrl, name, options);
/** Renews a picture of the documentation, where that is wanted. */
async function shoot(page: Page, name: string): Promise<void> {
  if (process.env['SCREENSHOT']) await page.screenshot({ path: `docs/screens/${name}.png` });
}
const ticks = async (page: Page): Promise<(string | null)[]> =>
  page
    .getByRole('log')
    .getByRole('img')
    .evaluateAll((all) => all.map((tick) => tick.getAttribute('aria-label')));
async function shootConversation(alice: Page, bob: Page): Promise<void> {
  await say(bob, 'On the train. I am there at ten.');
  await say(alice, 'I save you a seat.');
  await expect.poll(async () => ticks(alice)).toEqual(['Read', 'Read', 'Read']);
  await bob.getByRole('textbox', { name: 'Message' }).pressSequentially('Thank');
  await alice.getByText('Bob is typing').waitFor();
  await shoot(alice, 'conversation');
  await openMenu(alice);
  await shoot(alice, 'message-menu');
}
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
  const dialog = alice.getByRole('dialog', { name: 'Read by' });
  await dialog.getByText('Bob').waitFor();
  expect(await accessibilityProblems(alice)).toEqual([]);
  const [, id = ''] = /^npx groupcast trace (\S+)$/.exec((await dialog.locator('code').textContent()) ?? '') ?? [];
  const trace = startNode(['scripts/trace.js', id], system.env);
  expect([await trace.exited(), trace.output()]).toEqual([0, expect.stringContaining(id)]);
  await alice.reload();
  await connected(alice);
  await expect.poll(async () => ticks(alice)).toEqual(['Read', 'Read']);
  expect(browser.complaints).toEqual([]);
  if (process.env['SCREENSHOT']) await shootConversation(alice, bob);
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
  await composer.pressSequentially('Not sent');
  await line.waitFor();

  await alice.getByRole('button', { name: '2 members, 2 online' }).click();
  const rows = alice.getByRole('dialog', { name: 'Members' }).getByRole('listitem').filter({ hasText: 'Bob' });
  await rows.getByText('online').waitFor();
  expect(await accessibilityProblems(alice)).toEqual([]);
  // Nothing more was written, and nobody has said that it is over.
  await line.waitFor({ state: 'detached' });
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

/** How many pictures the element of this label has shown by now. */
const pictures = async (page: Page, label: string): Promise<number> =>
  page.getByLabel(label).evaluate((video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames);
const sees = (page: Page, label: string) => expect.poll(async () => pictures(page, label)).toBeGreaterThan(5);

test('a video call between two pages: it rings in a dialog, is seen and muted, is busy for a third, and ends on both', async () => {
  const alice = await logIn('alice');
  const bob = await logIn('bob', { viewport: PHONE, colorScheme: 'dark' });
  const carol = await logIn('carol');
  await createGroup(alice, 'Calls', 'Bob');
  await createGroup(carol, 'Three', 'Alice, Bob');
  await openGroup(bob, 'Calls');
  await bob.getByRole('textbox', { name: 'Message' }).focus();

  await alice.getByRole('button', { name: 'Video call with Bob' }).click();
  const panel = alice.getByRole('region', { name: 'Call with Bob' });
  await panel.getByRole('status').filter({ hasText: 'Calling' }).waitFor();
  const ringing = bob.getByRole('dialog', { name: 'Alice calls with video' });
  await ringing.waitFor();
  expect(await bob.title()).toContain('Alice calls');
  expect(await accessibilityProblems(bob)).toEqual([]);
  await shoot(bob, 'ringing');
  // Keys of a user who is writing answer nothing.
  await bob.keyboard.press('Enter');
  await bob.keyboard.press('Space');
  await bob.keyboard.press('Tab');
  await bob.keyboard.press('Tab');
  expect(await bob.evaluate(() => document.activeElement?.textContent)).toBe('Accept');
  await bob.keyboard.press('Enter');

  for (const [page, other] of [
    [alice, 'Bob'],
    [bob, 'Alice'],
  ] as const) {
    await page
      .getByRole('region', { name: `Call with ${other}` })
      .getByRole('timer')
      .waitFor();
    await sees(page, `Picture of ${other}`);
    await sees(page, 'Your picture');
    expect(await accessibilityProblems(page)).toEqual([]);
  }
  await say(alice, 'Written while we talk');
  await expectMessages(bob, ['Written while we talk']);
  await shoot(alice, 'call');
  await shoot(bob, 'phone-call');

  await openGroup(carol, 'Three');
  await carol.getByRole('button', { name: /^3 members/ }).click();
  await carol.getByRole('button', { name: 'Call Bob', exact: true }).click();
  await carol.getByText('Bob is busy.').waitFor();
  await expectMessages(carol, ['Your call: busy']);
  await groupRow(carol, 'Three').filter({ hasText: 'Your call: busy' }).waitFor();
  await groupRow(alice, 'Three').filter({ hasText: 'Missed call from Carol' }).waitFor();

  await panel.getByRole('button', { name: 'Turn the camera off' }).click();
  await panel.getByLabel('Your picture').waitFor({ state: 'hidden' });
  await panel.getByRole('button', { name: 'Mute the microphone', pressed: false }).click();
  await panel.getByRole('button', { name: 'Mute the microphone', pressed: true }).waitFor();
  await panel.getByRole('button', { name: 'Hang up' }).focus();
  await alice.keyboard.press('Enter');
  for (const page of [alice, bob]) {
    await page.getByText('The call has ended.').waitFor();
    await page.getByRole('region', { name: /^Call with/ }).waitFor({ state: 'detached' });
  }
  // The focus is where it was: it never falls out of the page.
  expect(await alice.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Video call with Bob');
  expect(await bob.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Message');
  expect(browser.complaints).toEqual([]);
});

test('a call is declined by Escape, and is missed where its caller does not wait; both stand between the messages', async () => {
  const [alice, bob] = [await logIn('alice'), await logIn('bob', { colorScheme: 'dark' })];
  await createGroup(alice, 'Short calls', 'Bob');
  await openGroup(bob, 'Short calls');
  const ringing = bob.getByRole('dialog', { name: 'Alice calls' });
  await alice.getByRole('button', { name: 'Call Bob', exact: true }).click();
  await ringing.waitFor();
  expect(await accessibilityProblems(bob)).toEqual([]);
  await bob.keyboard.press('Escape');
  await alice.getByText('Bob has declined the call.').waitFor();
  await alice.getByRole('button', { name: 'Call Bob', exact: true }).click();
  await ringing.waitFor();
  await alice.getByRole('button', { name: 'Hang up' }).click();
  await bob.getByText('You have missed a call from Alice.').waitFor();
  await expectMessages(alice, ['Your call: declined', 'Your call: no answer']);
  await expectMessages(bob, ['Declined call from Alice', 'Missed call from Alice']);
  expect(await accessibilityProblems(bob)).toEqual([]);
  await bob.getByRole('button', { name: 'Dismiss' }).click();
  await bob.getByText('You have missed a call').waitFor({ state: 'detached' });
  await bob.close();
  await alice.getByRole('button', { name: 'Call Bob', exact: true }).click();
  await alice.getByText('Bob is not here at the moment.').waitFor();
});

test('after kill -9 of relay and API, ticks and unread are as they were, and go on', async () => {
  const [first, second, bob] = [await logIn('alice'), await logIn('alice', { viewport: PHONE }), await logIn('bob')];
  await createGroup(first, 'Killed', 'Bob');
  await createGroup(bob, 'Other', 'Alice');
  await openGroup(bob, 'Killed');
  await say(first, 'read');
  await expect.poll(async () => ticks(first)).toEqual(['Read']);
  await openGroup(bob, 'Other');
  await say(first, 'delivered');
  await expect.poll(async () => ticks(first)).toEqual(['Read', 'Delivered']);
  await say(bob, 'Look here');
  const unread = (page: Page) => groupRow(page, 'Other').filter({ hasText: '1 unread' }).waitFor();
  await Promise.all([unread(first), unread(second)]);
  await bob.close();
  await say(first, 'sent');
  await expect.poll(async () => ticks(first)).toEqual(['Read', 'Delivered', 'Sent']);

  await Promise.all([system.relay.stop(), system.api.stop()]);
  await status(first, 'Reconnecting').waitFor();
  const [relay, api] = await Promise.all([startRelayProcess(system.env), startApiProcess(system.env)]);
  Object.assign(system, { relay, api });
  await Promise.all([connected(first), connected(second)]);
  expect(await ticks(first)).toEqual(['Read', 'Delivered', 'Sent']);
  await Promise.all([unread(first), unread(second)]);
  await first.reload();
  await unread(first);
  await expect.poll(async () => ticks(first)).toEqual(['Read', 'Delivered', 'Sent']);

  const again = await logIn('bob', { viewport: PHONE });
  await expect.poll(async () => ticks(first)).toEqual(['Read', 'Delivered', 'Delivered']);
  await openGroup(again, 'Killed');
  await expect.poll(async () => ticks(first)).toEqual(['Read', 'Read', 'Read']);
  await openGroup(first, 'Other');
  await groupRow(second, 'Other').filter({ hasNotText: 'unread' }).waitFor();
});
