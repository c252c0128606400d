import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LINKS, type ManagedProcess, type OwnNetwork, startOwnNetwork, startTurnServer } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { CallPage } from './call/page.ts';
import { type Stand, startStand } from './call/stand.ts';
import { CHROMIUM, type ChatBrowser, startChatBrowser } from './chat-browser.ts';
import { ROOT, serve } from './published-app.ts';

const MEDIA_FLAGS = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
];

let folder: string;
let pages: Server;
let stand: Stand;
let network: OwnNetwork;
let turn: ManagedProcess;
let browser: ChatBrowser;

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'groupcast-call-'));
  const root = join(ROOT, 'e2e/call');
  [stand] = await Promise.all([
    startStand(),
    build({ configFile: false, logLevel: 'error', root, build: { outDir: folder } }),
  ]);
  pages = await serve(folder);
  network = await startOwnNetwork([portOf(pages), ...stand.ports]);
  [turn, browser] = await Promise.all([
    startTurnServer(network),
    startChatBrowser(undefined, { executable: network.wrapper(CHROMIUM), flags: MEDIA_FLAGS }),
  ]);
});
afterEach(() => browser.closePages());
afterAll(async () => {
  await browser?.close();
  await turn?.stop();
  await network?.stop();
  await stand?.stop();
  pages?.close();
  rmSync(folder, { recursive: true, force: true });
});

declare const page: CallPage;

async function open(user: string, servers: 'none' | 'all'): Promise<Page> {
  const { groupId } = stand;
  const fragment = new URLSearchParams({ ...(await stand.fragment(user)), groupId, servers });
  const window = await browser.open(`http://127.0.0.1:${portOf(pages)}/index.html#${fragment}`);
  await expect.poll(() => window.evaluate(() => page.client.connection.getSnapshot().state)).toBe('connected');
  return window;
}

const callTo = async (window: Page, userId: string): Promise<void> =>
  window.evaluate((peer) => page.start(peer), userId);
const accept = async (window: Page): Promise<void> => window.evaluate(() => page.call.accept());
const hangUp = async (window: Page): Promise<void> => window.evaluate(() => page.call.hangUp());
const showing = (window: Page) => expect.poll(() => window.getByRole('status').textContent());

interface Flow {
  frames: number;
  energy: number;
  /** The way that the connection has found: this side's address, its kind, and the protocol to a relay. */
  address: string;
  kind: string;
  relayProtocol: string | undefined;
}

/** Pictures and sounds that have come from the other side by now, and by which way. */
async function flow(window: Page): Promise<Flow> {
  return window.evaluate(async () => {
    const stats = [...((await page.connections.at(-1)?.getStats())?.values() ?? [])] as Record<string, never>[];
    const find = (type: string, fits: (each: Record<string, unknown>) => boolean = () => true) =>
      stats.find((each) => each['type'] === type && fits(each));
    const transport = find('transport');
    const pair = find('candidate-pair', ({ id }) => id === transport?.['selectedCandidatePairId']);
    const local = find('local-candidate', ({ id }) => id === pair?.['localCandidateId']);
    return {
      frames: find('inbound-rtp', ({ kind }) => kind === 'video')?.['framesDecoded'] ?? 0,
      energy: find('inbound-rtp', ({ kind }) => kind === 'audio')?.['totalAudioEnergy'] ?? 0,
      address: local?.['address'] ?? '',
      kind: local?.['candidateType'] ?? '',
      relayProtocol: local?.['relayProtocol'],
    };
  });
}

/** Waits until further pictures and sounds have come, to both. */
async function heardAndSeen(...windows: Page[]): Promise<void> {
  for (const window of windows) {
    const before = await flow(window);
    await expect
      .poll(async () => {
        const now = await flow(window);
        return [now.frames > before.frames + 5, now.energy > before.energy];
      })
      .toEqual([true, true]);
  }
}

const liveTracks = async (window: Page): Promise<number> =>
  window.evaluate(() => page.tracks.filter(({ readyState }) => readyState === 'live').length);

test('a call is heard and seen, survives a network change, and ends on both sides; a third gets busy (G72)', async () => {
  const [alice, bob, carol] = (await Promise.all(
    ['alice', 'bob', 'carol'].map(async (user) => open(user, 'none')),
  )) as [Page, Page, Page];
  await callTo(alice, 'bob');
  await showing(bob).toBe('ringing');
  await accept(bob);
  for (const window of [alice, bob]) await showing(window).toBe('connected');
  await heardAndSeen(alice, bob);
  expect([await liveTracks(alice), await liveTracks(bob)]).toEqual([2, 2]);

  await callTo(carol, 'bob');
  await showing(carol).toBe('ended: busy');
  await expect
    .poll(() => stand.messages())
    .toEqual([{ kind: 'call', content: 'Missed call', custom: { outcome: 'busy', video: true } }]);
  expect([await liveTracks(carol), await bob.getByRole('status').textContent()]).toEqual([0, 'connected']);

  // The computer of both comes into another network, where it has another address: nothing of the old way is left.
  expect((await flow(alice)).address).toBe(LINKS.wifi);
  network.leave('wifi');
  for (const window of [alice, bob]) await showing(window).toBe('reconnecting');
  network.enter('mobile');
  for (const window of [alice, bob]) await showing(window).toBe('connected');
  await heardAndSeen(alice, bob);
  expect([(await flow(alice)).address, (await flow(bob)).address]).toEqual([LINKS.mobile, LINKS.mobile]);
  const made = await Promise.all([alice, bob].map((window) => window.evaluate(() => page.connections.length)));
  expect(made).toEqual([1, 1]);

  await hangUp(alice);
  for (const window of [alice, bob]) {
    await showing(window).toBe('ended: hung-up');
    expect(await liveTracks(window)).toBe(0);
  }
});

test('with UDP dropped a call goes through TURN, and a page that is closed ends it', async () => {
  const { dropped } = network.dropUdp();
  const [alice, bob] = (await Promise.all(['alice', 'bob'].map(async (user) => open(user, 'all')))) as [Page, Page];
  await callTo(bob, 'alice');
  await showing(alice).toBe('ringing');
  await accept(alice);
  for (const window of [alice, bob]) await showing(window).toBe('connected');
  await heardAndSeen(alice, bob);
  for (const window of [alice, bob]) expect(await flow(window)).toMatchObject({ kind: 'relay', relayProtocol: 'tcp' });
  expect(dropped()).toBeGreaterThan(0);
  await alice.close();
  await showing(bob).toBe('ended: hung-up');
  expect(await liveTracks(bob)).toBe(0);
});
