import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  connectAs,
  freePort,
  type ManagedProcess,
  manage,
  type RedisServer,
  type System,
  startNode,
  startRedis,
  startRelayProcess,
  startSystem,
  startTcpProxy,
  type TcpProxy,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  type ChatBrowser,
  connected,
  expectMessages,
  messages,
  openGroup,
  say,
  startChatBrowser,
} from './chat-browser.ts';

const GROUP = { id: '7', name: 'Corner shop' };
/** A front end, the user that is signed in there, and the name of this machine by which its pages are opened. */
const WINDOWS = [
  { frontEnd: 'conversation-colon', user: 'alice', name: 'Alice', host: '127.0.0.1' },
  { frontEnd: 'group-array', user: '2', name: 'Ben', host: 'localhost' },
  { frontEnd: 'underscore-events', user: 'carol', name: 'Carol', host: 'localhost' },
  { frontEnd: 'underscore-message', user: 'dan', name: 'Dan', host: 'localhost' },
  { frontEnd: 'aurora', user: 'eve', name: 'Eve', host: 'localhost' },
  { frontEnd: 'plain-html', user: 'frank', name: 'Frank', host: 'localhost' },
] as const;
const SIZE = { width: 520, height: 560 };

let system: System;
let pages: ManagedProcess & { port: number };
let browser: ChatBrowser;
let redis: RedisServer;
/** Between the pages and the relay, but for the front end that has one URL. */
let wire: TcpProxy;

beforeAll(async () => {
  const [apiPort, relayPort, pagesPort] = [await freePort(), await freePort(), await freePort()];
  const origins = ['localhost', '127.0.0.1'].flatMap((host) => [
    `http://${host}:${pagesPort}`,
    `http://${host}:${apiPort}`,
  ]);
  redis = await startRedis();
  [system, browser] = await Promise.all([
    startSystem({
      REDIS_URL: redis.url,
      NODE_LEASE_SECONDS: '3',
      API_PORT: String(apiPort),
      API_URL: `http://127.0.0.1:${apiPort}`,
      API_RELAY_PROXY: '1',
      RELAY_PORT: String(relayPort),
      RELAY_URL: `http://127.0.0.1:${relayPort}`,
      // The demo goes to the relay by another name than the front end that has one URL, whose dialect its host says.
      RELAY_PUBLIC_URL: `http://localhost:${relayPort}`,
      CLIENT_URL: origins.join(','),
      AUTH_TOKEN_FROM: 'auth,header,cookie:token',
      API_DIALECTS: 'conversation-colon,underscore-message',
      RELAY_DIALECTS: 'conversation-colon,group-array,underscore-events,underscore-message,aurora',
      RELAY_DIALECT_BY_HOST: '127.0.0.1=conversation-colon',
      RELAY_WS_PATH: '/ws',
    }),
    startChatBrowser(),
  ]);
  wire = await startTcpProxy(relayPort);
  pages = Object.assign(
    startNode(['examples/serve.mjs'], {
      ...TEST_SECRETS,
      EXAMPLE_PORT: String(pagesPort),
      EXAMPLE_CHATS: JSON.stringify([GROUP]),
      API_PUBLIC_URL: system.apiUrl,
      RELAY_PUBLIC_URL: Object.assign(new URL(system.relayUrl), { port: wire.port }).origin,
    }),
    { port: pagesPort },
  );
  await pages.wrote('pages at');
  await callApi('alice', 'POST', '/api/messaging/groups', {
    ...GROUP,
    memberIds: [...WINDOWS.map(({ user }) => user), 'gil', 'demo:dora'],
  });
  await Promise.all(WINDOWS.map(({ user, name }) => callApi(user, 'PUT', '/api/users/me', { name })));
});

async function callApi(user: string, method: string, path: string, body: object): Promise<void> {
  const headers = { authorization: `Bearer ${await tokenFor(user)}`, 'content-type': 'application/json' };
  const response = await fetch(`${system.apiUrl}${path}`, { method, headers, body: JSON.stringify(body) });
  expect(response.ok).toBe(true);
}
afterEach(async () => {
  await browser.closePages();
  browser.complaints.length = 0;
});
afterAll(async () => {
  await browser?.close();
  await pages?.stop();
  await wire?.close();
  await system?.stop();
  await redis?.stop();
});

const showsConnected = (page: Page) => page.getByRole('status').filter({ hasText: 'Connected' }).first().waitFor();

async function openChat(page: Page): Promise<void> {
  await page.getByRole('navigation', { name: 'Conversations' }).getByRole('button', { name: GROUP.name }).click();
}

async function openFrontEnd({ frontEnd, user, name, host }: Record<'frontEnd' | 'user' | 'name' | 'host', string>) {
  const page = await browser.open(`http://${host}:${pages.port}/login?user=${user}&name=${name}&to=${frontEnd}`, {
    viewport: SIZE,
  });
  await showsConnected(page);
  if (frontEnd !== 'plain-html') await openChat(page);
  return page;
}

/** Notes when each message has come on screen, and when the button was pressed, in milliseconds of this machine's clock. */
async function watchTimes(page: Page): Promise<void> {
  await page.evaluate(() => {
    const times = { pressed: 0, shown: {} as Record<string, number> };
    Object.assign(window, { times });
    document.addEventListener('click', () => (times.pressed = performance.timeOrigin + performance.now()), true);
    const look = () => {
      for (const { textContent } of document.querySelectorAll('[role=log] .content')) {
        times.shown[textContent ?? ''] ??= performance.timeOrigin + performance.now();
      }
    };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
}

const timesOf = (page: Page) =>
  page.evaluate(() => (window as unknown as { times: { pressed: number; shown: Record<string, number> } }).times);

test('a message sent in any front end appears in all the others, once and in order, nobody’s code changed', async () => {
  const opened = await Promise.all(WINDOWS.map(openFrontEnd));
  const demo = await browser.open(`${system.apiUrl}/?user=dora`, { viewport: SIZE });
  await connected(demo);
  await openGroup(demo, GROUP.name);
  const windows = [...opened, demo];
  const names = [...WINDOWS.map(({ frontEnd }) => frontEnd), 'the demo'];
  await Promise.all(windows.map(watchTimes));
  const expectEverywhere = async (texts: readonly string[]): Promise<void> => {
    const shown = async () => Promise.all(windows.map((page) => messages(page).allTextContents()));
    const byName = (all: readonly (readonly string[])[]) =>
      Object.fromEntries(names.map((name, at) => [name, all[at]]));
    await expect.poll(async () => byName(await shown())).toEqual(byName(windows.map(() => texts)));
  };

  const latencies: number[] = [];
  const said: string[] = [];
  for (const [at, page] of windows.entries()) {
    const text = `Good morning from ${names[at]}`;
    await say(page, text);
    said.push(text);
    await expectEverywhere(said);
    const { pressed } = await timesOf(page);
    for (const each of windows.filter((one) => one !== page)) {
      latencies.push(((await timesOf(each)).shown[text] ?? Number.NaN) - pressed);
    }
  }
  // Another round, and a second copy of anything before it would be on screen by now.
  await say(demo, 'That is everybody.');
  said.push('That is everybody.');
  await expectEverywhere(said);

  const sorted = latencies.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  console.log(`front ends side by side: from the click to another screen, median ${median.toFixed(1)} ms`);
  expect(median).toBeGreaterThan(0);
  expect(browser.complaints).toEqual([]);
  if (process.env['SCREENSHOT']) await saveScreenshot([...opened.slice(0, 5), demo]);
});

/** Waits until these are the last messages on screen. */
async function expectLast(page: Page, texts: readonly string[]): Promise<void> {
  await expect
    .poll(async () => (await messages(page).allTextContents()).slice(-texts.length), { timeout: 15_000 })
    .toEqual(texts);
}

test('nothing can be written in a front end before a conversation is open', async () => {
  for (const { frontEnd, user, name, host } of WINDOWS.filter((each) => each.frontEnd !== 'plain-html')) {
    const page = await browser.open(`http://${host}:${pages.port}/login?user=${user}&name=${name}&to=${frontEnd}`);
    await showsConnected(page);
    const field = page.getByRole('textbox', { name: 'Message' });
    expect([frontEnd, await field.isDisabled()]).toEqual([frontEnd, true]);
    expect([frontEnd, await page.getByRole('button', { name: 'Send' }).isDisabled()]).toEqual([frontEnd, true]);
    await openChat(page);
    await field.fill('now');
    await page.context().close();
  }
});

test('messages that a front end was away for appear there by themselves, once and in order, where its page loads nothing again (G91)', async () => {
  const away = await Promise.all(WINDOWS.slice(1, 4).map(openFrontEnd));
  const [sender] = await Promise.all(WINDOWS.slice(0, 1).map(openFrontEnd));
  if (!sender) throw new Error('there is no front end');
  await say(sender, 'Before');
  for (const page of away) {
    await expectLast(page, ['Before']);
    // From now on its API answers it nothing.
    await page.route('**/api/**', (route) => route.abort());
  }
  wire.leadTo(1);
  wire.cut();
  await Promise.all(away.map((page) => page.getByRole('status').filter({ hasNotText: 'Connected' }).first().waitFor()));
  for (const text of ['First', 'Second', 'Third']) await say(sender, text);
  await expectLast(sender, ['Third']);
  wire.leadTo(Number(new URL(system.relayUrl).port));
  for (const page of away) await expectLast(page, ['Before', 'First', 'Second', 'Third']);
});

test('aurora: a call is offered, taken and hung up, and a page that lost its connection comes back and joins again', async () => {
  const [eve, gil] = await Promise.all(
    ['Eve', 'Gil'].map((name) =>
      openFrontEnd({ frontEnd: 'aurora', user: name.toLowerCase(), name, host: 'localhost' }),
    ),
  );
  if (!eve || !gil) throw new Error('there are two windows');
  // Nothing is kept of a call: he has to be live when it comes. His page loads no messages, so the first one that it shows has come live.
  const before: string[] = [];
  await until('him to be live', async () => {
    before.push('Are you there?');
    await say(eve, 'Are you there?');
    return (await messages(gil).count()) > 0;
  });
  await expectMessages(eve, before);
  const call = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
  await call(eve, 'Call').click();
  await eve.getByRole('status').filter({ hasText: 'in a call with gil' }).waitFor();
  await gil.getByRole('status').filter({ hasText: 'in a call with eve' }).waitFor();
  await expect.poll(() => call(eve, 'Hang up').getAttribute('title')).toBe('where gil is');
  await expect.poll(() => call(gil, 'Hang up').getAttribute('title')).toBe('where eve is');
  await call(gil, 'Hang up').click();
  await call(eve, 'Call').waitFor();

  const joins: string[] = [];
  eve.on('console', (line) => joins.push(line.text()));
  await askRelay('/v1/disconnect', { userIds: ['eve'], code: 'SERVER_DRAINING', next: 'reconnect' });
  await until('the page to join again', () => joins.includes(`Joined conversation: ${GROUP.id}`));
  await say(gil, 'Are you back?');
  await expectMessages(eve, [...before, 'Are you back?']);
});

/** A call of the relay's broadcast API, as a back end makes it; a question without a `body`. */
async function askRelay(path: string, body?: object): Promise<unknown> {
  const { signServiceToken } = await import('@groupcast/tokens');
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const response = await fetch(`${system.relayInternalUrl}${path}`, {
    headers: {
      authorization: `Bearer ${await signServiceToken({ secret, scopes: ['broadcast'], subject: 'test' })}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
  });
  expect(response.status).toBe(200);
  return response.json();
}

/** A program in Python, with the secrets and addresses of the system. */
function runPython(file: string, args: readonly string[]): ManagedProcess {
  const env = {
    PATH: process.env['PATH'] ?? '',
    PYTHONDONTWRITEBYTECODE: '1',
    ...TEST_SECRETS,
    RELAY_INTERNAL_URL: system.relayInternalUrl,
    // The other name of this machine speaks another dialect.
    RELAY_WS_URL: `ws://localhost:${new URL(system.relayUrl).port}/ws`,
  };
  const program = manage('python3', [join('examples/python', file), ...args], { env });
  onTestFinished(() => program.stop());
  return program;
}

test('Python: the listener prints what the publisher broadcasts and what people send, each once', async () => {
  const listener = runPython('listen.py', ['--user', 'alice', '--group', GROUP.id]);
  await listener.wrote(`joined ${GROUP.id}`);
  const frank = await openFrontEnd(WINDOWS[5]);
  await say(frank, 'Hello to Python');
  await listener.wrote('Hello to Python');
  const publisher = runPython('publish.py', ['--group', GROUP.id, 'Grüße aus Python']);
  expect(await publisher.exited()).toBe(0);
  // The API counts the events of its groups, so one by another program has no place among them.
  expect(JSON.parse(publisher.output())).toMatchObject({ ok: true, position: null, warnings: ['UNPOSITIONED'] });
  await expectMessages(frank, ['Hello to Python', 'Grüße aus Python']);
});

interface ExpressExample {
  url: string;
  relay: ManagedProcess & { url: string };
  process: ManagedProcess;
  restart(): Promise<void>;
}

/** A relay, and the Express example as its back end. */
async function startExpress(): Promise<ExpressExample> {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-express-'));
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const relay = await startRelayProcess({
    API_URL: url,
    CLIENT_URL: url,
    AUTH_TOKEN_FROM: 'cookie:token,auth',
    RELAY_DIALECTS: 'conversation-colon,underscore-events',
    RELAY_DIALECT: 'conversation-colon',
  });
  // Browsers send the cookie of `localhost` to that name alone.
  relay.url = relay.url.replace('127.0.0.1', 'localhost');
  const start = async (): Promise<ManagedProcess> => {
    const started = startNode(['examples/express/server.js'], {
      ...TEST_SECRETS,
      PORT: String(port),
      RELAY_URL: relay.url,
      DATABASE_FILE: join(dataDir, 'express.db'),
    });
    await started.wrote('is ready');
    return started;
  };
  const example: ExpressExample = {
    url,
    relay,
    process: await start(),
    async restart() {
      example.process.signal('SIGKILL');
      await example.process.exited();
      example.process = await start();
    },
  };
  onTestFinished(async () => {
    await Promise.all([example.process.stop(), relay.stop()]);
    rmSync(dataDir, { recursive: true, force: true });
  });
  return example;
}

const CHAT = '694801074b3132dfefb58ce0';

test('Express with a database of its own, no API of ours: two front ends send, receive and mark read; killed, it loses nothing it answered', async () => {
  const express = await startExpress();
  const open = async (user: string, frontEnd: string): Promise<Page> => {
    const page = await browser.open(`${express.url}/login?user=${user}&to=/${frontEnd}/`, { viewport: SIZE });
    await showsConnected(page);
    return page;
  };
  const alice = await open('alice', 'conversation-colon');
  const bob = await open('bob', 'underscore-events');
  const row = (page: Page) =>
    page.getByRole('navigation', { name: 'Conversations' }).getByRole('button').filter({ hasText: GROUP.name });
  await openChat(alice);
  await row(bob).waitFor();

  await say(alice, 'Is the lamp still there?');
  await expectMessages(alice, ['Is the lamp still there?']);
  await expect.poll(() => row(bob).locator('.unread').textContent()).toBe('1');
  await openChat(bob);
  await expectMessages(bob, ['Is the lamp still there?']);
  await row(bob)
    .filter({ hasNot: bob.locator('.unread') })
    .waitFor();
  await say(bob, 'It is. Come by at five.');
  const first = ['Is the lamp still there?', 'It is. Come by at five.'];
  for (const page of [alice, bob]) await expectMessages(page, first);

  // The other front end of the same chat hears of it, and so does somebody with a stock client and no front end.
  const carol = await connectAs(`${express.relay.url}/?dialect=native`, 'carol');
  onTestFinished(() => void carol.close());
  const receipts: { users: Record<string, { read?: number }> }[] = [];
  carol.on('receipt', (receipt: (typeof receipts)[number]) => receipts.push(receipt));
  expect(await carol.emitWithAck('join-group', { groupId: CHAT })).toMatchObject({ ok: true });
  await say(alice, 'I will.');
  await expectMessages(bob, [...first, 'I will.']);
  // The conversation's own event has the first place.
  await until('Bob’s receipt', () => receipts.some(({ users }) => users['bob']?.read === 4));

  const answered = await sendWhileKilled(express);
  // One whose answer was lost with the process may be there as well: it was saved, and nobody was told.
  const shown = async () => (await messages(bob).allTextContents()).slice(first.length + 1);
  await expect.poll(async () => (await shown()).filter((text) => answered.includes(text))).toEqual(answered);
  await say(bob, 'Enough!');
  await expect.poll(async () => (await shown()).at(-1)).toBe('Enough!');
  const all = await shown();
  expect(all.filter((text) => answered.includes(text))).toEqual(answered);
  expect(new Set(all).size).toBe(all.length);

  // A cursor that was stored before the crash is there after it.
  await bob.reload();
  await showsConnected(bob);
  await row(bob)
    .filter({ hasNot: bob.locator('.unread') })
    .waitFor();
  await alice.reload();
  await openChat(alice);
  await expect.poll(async () => (await messages(alice).allTextContents()).at(-1)).toBe('Enough!');
});

/**
 * Sends to the chat while the back end is killed: once in the middle of it, and once with messages that are saved, some of them on their way
 * to a relay that does not read. Returns those that were answered.
 */
async function sendWhileKilled(express: ExpressExample): Promise<string[]> {
  const cookie = `token=${await tokenFor('alice')}`;
  const answered: string[] = [];
  let said = 0;
  async function send(): Promise<void> {
    said += 1;
    const content = `n${said}`;
    const answer = await fetch(`${express.url}/api/v1/chats/${CHAT}/messages`, {
      method: 'POST',
      headers: { cookie, 'content-type': 'application/json' },
      body: JSON.stringify({ content }),
    }).catch(() => undefined);
    if (answer?.status === 201) answered.push(content);
  }
  async function sendUntil(isEnough: () => boolean): Promise<void> {
    await until('enough messages', async () => {
      await send();
      return isEnough();
    });
  }

  const restarted = (async () => {
    await until('messages', () => answered.length >= 20);
    await express.restart();
    return answered.length;
  })();
  let before: number | undefined;
  void restarted.then((count) => (before = count));
  await sendUntil(() => before !== undefined && answered.length >= before + 10);

  express.relay.signal('SIGSTOP');
  for (let n = 0; n < 5; n += 1) await send();
  express.process.signal('SIGKILL');
  await express.process.exited();
  express.relay.signal('SIGCONT');
  await express.restart();
  // Nothing is sent now: a later place would show the relay that it lacks one, and that would mend it as well.
  return answered;
}

/** Six windows in one picture. */
async function saveScreenshot(windows: readonly Page[]): Promise<void> {
  await mkdir('docs/screens', { recursive: true });
  const shots = await Promise.all(windows.map((page) => page.screenshot()));
  const frame = await browser.open('about:blank', {
    viewport: { width: SIZE.width * 3 + 96, height: SIZE.height * 2 + 72 },
  });
  const images = shots.map((shot) => `<img alt="" src="data:image/png;base64,${shot.toString('base64')}">`);
  await frame.setContent(
    `<style>
      body { display: grid; grid-template-columns: repeat(3, auto); gap: 24px; margin: 0; padding: 24px; background: #d9d6cd }
      img { border-radius: 12px; box-shadow: 0 6px 24px #0003 }
    </style>${images.join('')}`,
  );
  await frame.screenshot({ path: 'docs/screens/front-ends.png' });
}

// The last one: for a lease of the relay that died, the others wait for it.
test('front ends whose relay is killed go on at another one, where what was said meanwhile appears by itself, once and in order (G92)', async () => {
  const { RELAY_PORT: _port, RELAY_INTERNAL_PORT: _internalPort, ...env } = system.env;
  const doomed = await startRelayProcess(env);
  onTestFinished(async () => doomed.stop());
  wire.leadTo(doomed.port);
  const away = await Promise.all(WINDOWS.slice(1, 4).map(openFrontEnd));
  const [sender] = await Promise.all(WINDOWS.slice(0, 1).map(openFrontEnd));
  if (!sender) throw new Error('there is no front end');
  await say(sender, 'Alive');
  for (const page of away) {
    await expectLast(page, ['Alive']);
    await page.route('**/api/**', (route) => route.abort());
  }
  const gone = away.map((page) => page.getByRole('status').filter({ hasNotText: 'Connected' }).first().waitFor());
  await doomed.stop();
  await Promise.all(gone);
  for (const text of ['Fourth', 'Fifth', 'Sixth']) await say(sender, text);
  await expectLast(sender, ['Sixth']);
  wire.leadTo(Number(new URL(system.relayUrl).port));
  for (const page of away) await expectLast(page, ['Alive', 'Fourth', 'Fifth', 'Sixth']);
});
