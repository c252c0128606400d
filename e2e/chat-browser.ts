import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { System, TcpProxy } from '@groupcast/testing';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

export const WINDOW = { width: 760, height: 720 };
export const PHONE = { width: 390, height: 780 };

export interface ChatBrowser {
  /** The complaints of the pages: script errors, blocked styles, failed requests. */
  complaints: string[];
  /** A browser of one's own: nothing is shared between two people, not even storage. */
  open: (address: string, options?: BrowserContextOptions) => Promise<Page>;
  closePages: () => Promise<void>;
  close: () => Promise<void>;
}

/** The whole browser, for calls: the engine alone does not tell a page the addresses of its networks, whatever it may use. */
export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
/** The same Chromium without windows, tabs and menus, which cost half of the CPU time of a page. */
const HEADLESS = process.env['CHROMIUM'] ?? '/usr/bin/chromium-headless-shell';

/**
 * `cable`: everything this browser asks of API and relay goes through these, which a test can pull out. `executable` is another file that
 * starts the browser.
 */
export async function startChatBrowser(
  cable?: { system: System; relay: TcpProxy; api: TcpProxy },
  { executable = HEADLESS, flags = [] }: { executable?: string; flags?: readonly string[] } = {},
): Promise<ChatBrowser> {
  const complaints: string[] = [];
  const rules = cable
    ? [
        [cable.system.relayUrl, cable.relay],
        [cable.system.apiUrl, cable.api],
      ].map(([url, proxy]) => `MAP ${new URL(url as string).host} 127.0.0.1:${(proxy as TcpProxy).port}`)
    : [];
  const browser: Browser = await chromium.launch({
    executablePath: executable,
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--disable-gpu',
      ...flags,
      ...(rules.length > 0 ? [`--host-resolver-rules=${rules.join(', ')}`] : []),
    ],
  });
  return {
    complaints,
    async open(address, options = {}) {
      const context = await browser.newContext({ viewport: WINDOW, ...options });
      const page = await context.newPage();
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      await page.goto(address);
      return page;
    },
    async closePages() {
      await Promise.all(browser.contexts().map((context) => context.close()));
    },
    close: () => browser.close(),
  };
}

export async function connected(page: Page): Promise<void> {
  await status(page, 'Connected').waitFor();
}

/** Opens the demo as a user, who is logged in by the address. */
export async function logIn(
  browser: ChatBrowser,
  apiUrl: string,
  name: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const page = await browser.open(`${apiUrl}/?user=${name}`, options);
  await connected(page);
  return page;
}

export function status(page: Page, text: string): Locator {
  return page.getByRole('banner').getByRole('status').filter({ hasText: text });
}

export function groupRow(page: Page, name: string): Locator {
  return page.getByRole('navigation', { name: 'Groups' }).getByRole('button').filter({ hasText: name });
}

export async function openGroup(page: Page, name: string): Promise<void> {
  await groupRow(page, name).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

/** Makes a group with the people named, and opens it. */
export async function createGroup(page: Page, name: string, members: string): Promise<void> {
  await page.getByRole('button', { name: 'New group' }).click();
  await page.getByRole('textbox', { name: 'Group name' }).fill(name);
  await page.getByRole('textbox', { name: 'Members' }).fill(members);
  await page.getByRole('button', { name: 'Create group' }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

export function messages(page: Page): Locator {
  return page.getByRole('log', { name: 'Messages' }).locator('.content');
}

/** Waits until exactly these messages are on screen, each once and in this order. */
export async function expectMessages(page: Page, texts: string[], timeout = 15_000): Promise<void> {
  await expect.poll(() => messages(page).allTextContents(), { timeout }).toEqual(texts);
}

/** How often the page has been loaded since this call. */
export function countLoads(page: Page): () => number {
  let loads = 0;
  page.on('load', () => {
    loads += 1;
  });
  return () => loads;
}

/** The faults that axe finds for users of a keyboard or a screen reader, as `rule: element`. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // Not as a script of the page: its content security policy would be right to refuse it.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}
