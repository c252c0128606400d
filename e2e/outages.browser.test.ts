import { type System, startRelayProcess, startSystem, startTcpProxy, type TcpProxy } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type ChatBrowser,
  connected,
  countLoads,
  createGroup,
  expectMessages,
  openGroup,
  PHONE,
  say,
  startChatBrowser,
  status,
  WINDOW,
} from './chat-browser.ts';

/** Short, so that a test need not wait for it. */
const PING = { PING_INTERVAL_MS: '1000', PING_TIMEOUT_MS: '1000' };

let system: System;
let relay: System['relay'];
let cable: { relay: TcpProxy; api: TcpProxy };
let homeBrowser: ChatBrowser;
/** Everything it says and hears goes through `cable`. */
let awayBrowser: ChatBrowser;

beforeAll(async () => {
  system = await startSystem({ ...PING, SHUTDOWN_DRAIN_SECONDS: '0' });
  ({ relay } = system);
  cable = { relay: await startTcpProxy(system.relay.port), api: await startTcpProxy(system.api.port) };
  [homeBrowser, awayBrowser] = await Promise.all([startChatBrowser(), startChatBrowser({ system, ...cable })]);
});
afterEach(async () => {
  cable.relay.thaw();
  cable.api.thaw();
  await Promise.all([homeBrowser.closePages(), awayBrowser.closePages()]);
});
afterAll(async () => {
  await Promise.all([homeBrowser?.close(), awayBrowser?.close()]);
  await Promise.all([cable?.relay.close(), cable?.api.close(), relay?.stop()]);
  await system?.stop();
});

async function open(browser: ChatBrowser, name: string): Promise<Page> {
  const page = await browser.open(`${system.apiUrl}/?user=${name}`);
  await connected(page);
  return page;
}

/** Alice away and Bob at home, both looking at a group of their own. */
async function meet(group: string): Promise<{ alice: Page; bob: Page; loads: () => number[] }> {
  const alice = await open(awayBrowser, 'alice');
  const bob = await open(homeBrowser, 'bob');
  await createGroup(bob, group, 'Alice');
  await openGroup(alice, group);
  const counts = [countLoads(alice), countLoads(bob)];
  return { alice, bob, loads: () => counts.map((count) => count()) };
}
/** The avatars beside messages that show their sender to be online. */
const onlineDots = (page: Page) => page.getByRole('log').locator('.avatar[data-online]');

/** The size at which the dot of the connection's status is drawn. */
const statusDot = async (page: Page) =>
  page
    .getByRole('banner')
    .getByRole('status')
    .evaluate((element) => {
      const { width, height } = getComputedStyle(element, '::before');
      return { width, height };
    });

const numbered = (text: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${text} ${index + 1}`);

test('a user cut off for longer than the ping time-out sees the messages of that time, once, in order, without a reload (G19)', async () => {
  const { alice, bob, loads } = await meet('Cable');
  await say(bob, 'before');
  await expectMessages(alice, ['before']);
  await alice.getByText('2 members, 2 online').waitFor();
  await onlineDots(alice).waitFor();

  cable.relay.freeze();
  cable.api.freeze();
  for (const text of numbered('meanwhile', 50)) await say(bob, text);
  const all = ['before', ...numbered('meanwhile', 50)];
  await expectMessages(bob, all);
  // The page has noticed by itself, and says so.
  await alice.getByText('No connection').waitFor();
  // Alice's message is shown at once, and waits.
  await say(alice, 'from the tunnel');
  await alice.getByText('Sending').waitFor();
  await expectMessages(alice, ['before', 'from the tunnel']);
  if (process.env['SCREENSHOT']) await alice.screenshot({ path: 'docs/screens/cut-off.png' });

  // Nobody knows now who is online: neither their number is shown, nor a dot at an avatar.
  await alice.getByText('2 members', { exact: true }).waitFor();
  await onlineDots(alice).waitFor({ state: 'detached' });
  await alice.setViewportSize(PHONE);
  expect(await statusDot(alice)).toEqual({ width: '8px', height: '8px' });
  await alice.setViewportSize(WINDOW);

  cable.relay.thaw();
  cable.api.thaw();
  await connected(alice);
  await expectMessages(alice, [...all, 'from the tunnel']);
  await expectMessages(bob, [...all, 'from the tunnel']);
  await alice.getByText('Sending').waitFor({ state: 'detached' });
  await alice.getByText('2 members, 2 online').waitFor();
  expect(await onlineDots(alice).count()).toBeGreaterThan(0);
  expect(loads()).toEqual([0, 0]);
});

test('a relay that is killed and restarted under load: both see everything, once, in order, without a reload (G19)', async () => {
  const { alice, bob, loads } = await meet('Restarts');
  const said: Promise<void>[] = [];
  const talk = async (page: Page, name: string): Promise<void> => {
    for (const text of numbered(name, 20)) await say(page, text);
  };
  said.push(talk(alice, 'alice'), talk(bob, 'bob'));
  for (let round = 0; round < 3; round += 1) {
    await expect.poll(async () => alice.getByRole('log').locator('.content').count()).toBeGreaterThan(5 * round);
    await relay.stop();
    relay = await startRelayProcess(system.env);
  }
  await Promise.all(said);
  await Promise.all([connected(alice), connected(bob)]);
  const shown = async (page: Page) => page.getByRole('log').locator('.content').allTextContents();
  await expect.poll(async () => (await shown(alice)).length, { timeout: 20_000 }).toBe(40);
  await expect.poll(async () => shown(bob), { timeout: 20_000 }).toEqual(await shown(alice));
  for (const name of ['alice', 'bob']) {
    expect((await shown(alice)).filter((text) => text.startsWith(name))).toEqual(numbered(name, 20));
  }
  expect(loads()).toEqual([0, 0]);
});

test('without a relay the page goes on by polling, says so, and is live again when the relay is', async () => {
  const { alice, bob, loads } = await meet('Polling');
  cable.relay.freeze();
  await status(alice, 'Polling').waitFor();
  await alice.getByText('No live connection').waitFor();
  await say(bob, 'can you see this?');
  await expectMessages(alice, ['can you see this?']);
  await say(alice, 'a little late');
  await expectMessages(bob, ['can you see this?', 'a little late']);
  cable.relay.thaw();
  await connected(alice);
  expect(loads()).toEqual([0, 0]);
});
