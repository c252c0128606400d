import { mkdir } from 'node:fs/promises';
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import { AUDIENCE, type MonitorNode, type MonitorSample, type MonitorState, type RelayTrace } from '@groupcast/shared';
import { received, type ServiceProcess, startRelayProcess, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { accessibilityProblems, type ChatBrowser, startChatBrowser } from './chat-browser.ts';

const DESK = { width: 1180, height: 1000 };
const NARROW = { width: 400, height: 820 };
const SAMPLE_MS = 5_000;

let browser: ChatBrowser;
let relay: ServiceProcess & { internalUrl: string };
let broadcaster: Broadcaster;
const sockets: Socket[] = [];
beforeAll(async () => {
  [browser, relay] = await Promise.all([startChatBrowser(), startRelayProcess()]);
  broadcaster = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
});
afterEach(async () => {
  await browser.closePages();
  for (const socket of sockets.splice(0)) socket.close();
  browser.complaints.length = 0;
});
afterAll(async () => {
  await broadcaster?.close();
  await Promise.all([browser?.close(), relay?.stop()]);
});

async function connect(userId: string, groups: string[]): Promise<Socket> {
  const auth = { token: await tokenFor(userId, groups) };
  const socket = io(relay.url, { auth, transports: ['websocket'], forceNew: true });
  sockets.push(socket);
  await received(socket, 'joined-groups');
  return socket;
}

async function monitorToken(ttlSeconds = 600): Promise<string> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const options = { secret, scopes: ['monitor' as const], subject: 'on-call', audience: AUDIENCE.relay };
  return signServiceToken({ ...options, ttlSeconds });
}

async function logIn(options: BrowserContextOptions = {}, before?: (page: Page) => Promise<void>): Promise<Page> {
  const page = await browser.open('about:blank', { viewport: DESK, ...options });
  await before?.(page);
  await page.goto(`${relay.internalUrl}/monitor`);
  await page.getByLabel('Service token').fill(await monitorToken());
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
  return page;
}

const figure = async (page: Page, label: string): Promise<string | null> =>
  page
    .locator('.figures > div', { has: page.getByText(label, { exact: true }) })
    .locator('dd')
    .textContent();
const events = (page: Page) => page.getByRole('list', { name: 'Live events' }).getByRole('listitem');
const warnings = (page: Page) => page.getByRole('list', { name: 'Warnings' }).getByRole('listitem');

/** A trace as the relay answers it: the message came to one of two members. */
const TRACE: RelayTrace = {
  groupId: 'team-7',
  id: 'm-1',
  event: 'new-message',
  position: { epoch: '1-a', seq: 42 },
  hops: [
    { hop: 'relay-accepted', ok: true, at: '2026-01-01T10:00:00.000Z', node: 'relay-a', detail: 'the log took it' },
    { hop: 'published', ok: true, ms: 0.4, detail: 'to 2 relays' },
    { hop: 'node-received', ok: true, ms: 1.2, count: 2, detail: 'by both' },
    { hop: 'written', ok: true, ms: 3.1, count: 2, detail: 'to the members’ sockets' },
    { hop: 'client-received', ok: false, count: 1, detail: 'one of two members has it' },
  ],
  verdict: {
    state: 'partly',
    hop: 'client-received',
    code: 'SLOW_CONSUMER',
    cause: 'bob’s connection does not read.',
    fix: 'It is cut after 5 s, and gets the message when it is back.',
  },
  nodes: [{ node: 'relay-a', members: 2, arrivedAt: '2026-01-01T10:00:00.001Z' }],
  unreachable: [],
  refusals: [],
  summary: { proven: 1, 'slow-consumer': 1 },
  recipients: [
    { userId: 'alice', state: 'proven', why: 'Her client answered a ping that was sent after it.', node: 'relay-a' },
    { userId: 'bob', state: 'slow-consumer', why: 'He does not read.', fix: 'Wait, or look at his network.' },
  ],
};

/** The relay’s part of a trace is tested there; here, how the page shows it. */
async function answerTraces(page: Page): Promise<string[]> {
  const asked: string[] = [];
  await page.route('**/monitor/trace?*', async (route) => {
    asked.push(new URL(route.request().url()).search);
    await route.fulfill({ json: TRACE });
  });
  return asked;
}

test('an operator logs in and sees nodes, groups, warnings and events as they happen (G89)', async () => {
  await connect('alice', ['team-7']);
  const page = await logIn();
  expect(page.url()).toBe(`${relay.internalUrl}/monitor`);
  await expect.poll(async () => figure(page, 'Connections')).toBe('1');
  const bob = await connect('bob', ['team-7', 'team-8']);
  const { id } = await broadcaster.broadcastMessage({
    groupId: 'team-7',
    message: { text: 'nothing of this is shown' },
    expectedUserIds: ['alice', 'bob'],
    waitFor: 'proven',
  });
  await broadcaster.broadcastMessage({ groupId: 'team-nobody', message: {} });
  await expect.poll(async () => warnings(page).allTextContents()).toHaveLength(1);
  expect(await warnings(page).first().textContent()).toMatch(/NO_RECIPIENTS: nobody has joined the group/);
  const nodes = page.getByRole('group', { name: 'Nodes' });
  await expect.poll(async () => nodes.getByRole('row').nth(1).textContent()).toMatch(/this one.*ready/);
  const groups = page.getByRole('group', { name: 'Top groups' });
  await expect.poll(async () => groups.getByRole('row').nth(1).textContent()).toBe('team-7212');
  // A chart has the sample of the first interval that has ended.
  await expect.poll(async () => page.locator('.legend b').nth(1).textContent()).toMatch(/^[12]$/);

  // How far the message is, by the relay's own trace.
  const find = page.getByRole('search', { name: 'Find' });
  await find.getByRole('searchbox', { name: 'Message id' }).fill(id);
  await find.getByRole('searchbox', { name: 'Group' }).fill('team-7');
  await find.getByRole('button', { name: 'Find' }).click();
  await page.getByText('delivered', { exact: true }).waitFor();
  expect(await page.getByRole('list', { name: 'Hops' }).textContent()).toMatch(/✓relay-accepted.*✓written/);
  const recipients = page.getByRole('group', { name: 'Recipients' }).getByRole('row');
  expect(await recipients.locator('.state').allTextContents()).toEqual(['proven', 'proven']);

  // Filters: by group, of which a button of the table is one, by user, by kind, by text.
  await groups.getByRole('button', { name: 'team-8' }).click();
  await expect.poll(async () => events(page).count()).toBe(2);
  await page.getByRole('searchbox', { name: 'Group' }).last().fill('');
  await page.getByRole('searchbox', { name: 'User' }).last().fill('bob');
  bob.close();
  await expect.poll(async () => events(page).first().textContent()).toContain('disconnected');
  await page.getByRole('combobox', { name: 'Kind' }).selectOption('joined');
  await expect.poll(async () => events(page).count()).toBe(2);
  await page.getByRole('searchbox', { name: 'Text' }).fill('TEAM-8');
  await expect.poll(async () => events(page).count()).toBe(1);
  expect(await page.locator('body').textContent()).not.toContain('nothing of this');
  expect(await accessibilityProblems(page)).toEqual([]);
  expect(browser.complaints).toEqual([]);

  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel('Service token').waitFor();
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.goto(`${relay.internalUrl}/monitor/state`);
  expect(await page.locator('body').textContent()).toContain('SERVICE_TOKEN_INVALID');
});

test('a search draws the hops of a message and says where a user is, by keyboard alone and on a narrow screen', async () => {
  await connect('alice', ['team-7']);
  let asked: string[] = [];
  const page = await logIn({ viewport: NARROW }, async (opened) => {
    asked = await answerTraces(opened);
  });
  await page.keyboard.press('/');
  await page.keyboard.type('m-1');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'give the group as well' }).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.type('team-7');
  await page.keyboard.press('Enter');
  const hops = page.getByRole('list', { name: 'Hops' }).getByRole('listitem');
  await expect.poll(async () => hops.count()).toBe(5);
  expect(asked).toEqual(['?id=m-1&groupId=team-7']);
  expect(await hops.last().textContent()).toContain('one of two members has it');
  const recipients = page.getByRole('group', { name: 'Recipients' }).getByRole('row');
  expect(await recipients.allTextContents()).toEqual([
    'UserStateWhyWhere',
    'aliceprovenHer client answered a ping that was sent after it.relay-a',
    'bobslow-consumerHe does not read. Wait, or look at his network.',
  ]);
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBeLessThanOrEqual(0);
  expect(await accessibilityProblems(page)).toEqual([]);

  const [message, group, user] = ['Message id', 'Group', 'User'].map((name) =>
    page.getByRole('search', { name: 'Find' }).getByRole('searchbox', { name }),
  );
  await message?.fill('');
  await group?.fill('');
  await user?.fill('alice');
  await page.keyboard.press('Enter');
  await page.getByText('alice has 1 connection.').waitFor();
  expect(await page.getByRole('group', { name: 'Connections' }).textContent()).toMatch(/websocketteam-7/);
  await user?.fill('carol');
  await page.keyboard.press('Enter');
  await page.getByText('carol has no connection to this relay.').waitFor();
  expect(browser.complaints).toEqual([]);
});

test('a page of another site gets nothing, in a browser that is logged in (G89)', async () => {
  const page = await logIn();
  const foreign = await page.context().newPage();
  // The same address under another name is another site.
  await foreign.goto(relay.url.replace('127.0.0.1', 'localhost'));
  const outcome = await foreign.evaluate(async (address) => {
    const answers = ['/state', '/events'].map(async (path) =>
      fetch(address + path, { credentials: 'include' }).then(
        () => 'answered',
        () => 'blocked',
      ),
    );
    return Promise.all(answers);
  }, `${relay.internalUrl}/monitor`);
  expect(outcome).toEqual(['blocked', 'blocked']);
  const framed = await foreign.evaluate(
    async (address) =>
      new Promise<boolean>((resolve) => {
        const frame = document.createElement('iframe');
        frame.addEventListener('load', () => resolve(frame.contentDocument !== null));
        frame.src = address;
        document.body.append(frame);
      }),
    `${relay.internalUrl}/monitor`,
  );
  expect(framed).toBe(false);
});

/** Fifteen minutes of a made-up working day, for pictures. */
function samplesOf(scale: number, connections: number): MonitorSample[] {
  const now = Math.floor(Date.now() / SAMPLE_MS) * SAMPLE_MS;
  return Array.from({ length: 180 }, (_, index) => {
    const wave =
      1 + 0.35 * Math.sin(index / 14) + 0.12 * Math.sin(index * 1.7) + (index > 120 && index < 128 ? 1.4 : 0);
    return {
      at: now - (179 - index) * SAMPLE_MS,
      connections: Math.round(connections * (0.9 + index / 1_790)),
      broadcasts: 14 * wave * scale,
      deliveries: 620 * wave * scale,
      lagP50: 1.6 + 0.4 * wave,
      lagP99: 6 + 5 * wave * wave,
    };
  });
}

function dressed(state: MonitorState): MonitorState {
  const nodes: MonitorNode[] = state.nodes.flatMap((node) => {
    const like = (name: string, scale: number, connections: number, more: Partial<MonitorNode>): MonitorNode => {
      return {
        ...node,
        node: name,
        connections,
        groups: Math.round(connections / 9),
        uptimeSeconds: 93_000,
        samples: samplesOf(scale, connections),
        ...more,
      };
    };
    return [
      like('relay-a-1017-5f2c9e', 1, 4_180, {}),
      like('relay-b-1022-88d01a', 0.9, 3_920, { warnings: [] }),
      like('relay-c-1019-c4417b', 0.4, 1_204, { degraded: ['back-end'], uptimeSeconds: 640, warnings: [] }),
    ];
  });
  const groups = ['all-hands', 'team-7', 'support', 'incident-204', 'release', 'lunch'].map((groupId, index) => {
    return {
      groupId,
      connections: Math.round(2_400 / (index + 1)),
      events: 96 - 13 * index,
      deliveries: Math.round(91_000 / (index + 1) ** 1.7),
    };
  });
  return { ...state, node: 'relay-a-1017-5f2c9e', nodes, groups, silent: ['relay-d-1020-0b93aa'] };
}

test.runIf(process.env['SCREENSHOT'])('pictures for the documentation', async () => {
  await mkdir('docs/screens', { recursive: true });
  for (const [name, options] of [
    ['monitor', { colorScheme: 'light' }],
    ['monitor-dark', { colorScheme: 'dark' }],
    ['monitor-phone', { colorScheme: 'light', viewport: NARROW }],
  ] as const) {
    const page = await logIn(options, async (opened) => {
      await answerTraces(opened);
      await opened.route('**/monitor/state?*', async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ json: dressed((await answer.json()) as MonitorState) });
      });
    });
    const users = await Promise.all(
      ['alice', 'bob', 'carol', 'dave'].map(async (user) => connect(user, ['team-7', 'support'])),
    );
    for (const id of ['m-1', 'm-2', 'm-3']) await broadcaster.broadcastMessage({ groupId: 'team-7', id, message: {} });
    await broadcaster.broadcastMessage({ groupId: `incident-${name}`, message: {} });
    users[1]?.close();
    const find = page.getByRole('search', { name: 'Find' });
    await find.getByRole('searchbox', { name: 'Message id' }).fill('m-1');
    await find.getByRole('searchbox', { name: 'Group' }).fill('team-7');
    await page.keyboard.press('Enter');
    await page.getByRole('list', { name: 'Hops' }).waitFor();
    await expect.poll(async () => warnings(page).count()).toBeGreaterThan(0);
    await page.screenshot({ path: `docs/screens/${name}.png`, fullPage: true });
    for (const socket of sockets.splice(0)) socket.close();
    await page.context().close();
  }
  const form = await browser.open(`${relay.internalUrl}/monitor`, { viewport: { width: 640, height: 480 } });
  await form.screenshot({ path: '.cache/monitor-login.png' });
});
