import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inputs } from '../src/inputs.ts';
import { serveFiles } from './serve-files.ts';

const DIST = 'site/dist';
const read = (path: string): string => readFileSync(join(DIST, path), 'utf8');
const { pages } = inputs();
const html = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.html'));

describe('the built site', () => {
  test('has every page, as HTML and as Markdown', () => {
    const built = [...pages.keys()].flatMap((page) => [page, page.replace(/md$/, 'html')]);
    expect(built.length).toBeGreaterThan(100);
    expect(built.filter((path) => !existsSync(join(DIST, path)))).toEqual([]);
  });

  test('has no link that leads nowhere, and no anchor that is not there', () => {
    const ids = new Map(
      html.map((path) => [path, new Set(Array.from(read(path).matchAll(/ id="([^"]+)"/g), ([, id]) => id))]),
    );
    const dead: string[] = [];
    let looked = 0;
    for (const path of html) {
      for (const [, href = ''] of read(path).matchAll(/<a [^>]*?href="([^"]+)"/g)) {
        if (/^[a-z]+:/.test(href)) continue;
        looked += 1;
        const { pathname, hash } = new URL(href, `http://site/${path}`);
        const file = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
        const target = posix.relative('/', existsSync(join(DIST, file)) ? file : `${file}.html`);
        const anchor = decodeURIComponent(hash.slice(1));
        const isThere = existsSync(join(DIST, target)) && (anchor === '' || ids.get(target)?.has(anchor));
        if (!isThere) dead.push(`${path}: ${href}`);
      }
    }
    expect(looked).toBeGreaterThan(1000);
    expect([...new Set(dead)]).toEqual([]);
  });
});

/** Pictures that SCREENSHOT=1 renews, each with its page. */
const SCREENS = [
  { file: 'docs/screens/site.png', path: '/', colorScheme: 'light' },
  { file: 'docs/screens/site-dark.png', path: '/reference/broadcast-api.html', colorScheme: 'dark' },
] as const;

describe('the site in a browser', () => {
  let browser: Browser;
  let site: Awaited<ReturnType<typeof serveFiles>>;

  beforeAll(async () => {
    site = await serveFiles(DIST);
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser.close();
    site.close();
  });

  test.each(SCREENS)('$path has its place for everything, light or dark, on a phone too', async (screen) => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: screen.colorScheme });
    await page.goto(`${site.url}${screen.path}`);
    await page.getByRole('link', { name: 'Reference', exact: true }).first().waitFor();
    expect(await page.evaluate(() => document.documentElement.classList.contains('dark'))).toBe(
      screen.colorScheme === 'dark',
    );
    if (process.env['SCREENSHOT'] === '1') await page.screenshot({ path: screen.file });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 844 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    }
  });

  test('asks no other host for anything, and its search finds a code of the reference', async () => {
    const page = await browser.newPage();
    const asked: string[] = [];
    const faults: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).origin));
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('response', (response) => {
      if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
    });
    await page.goto(site.url);
    await page.getByRole('link', { name: 'Start', exact: true }).first().click();
    await page.getByRole('heading', { name: 'Where is my message?' }).waitFor();
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('searchbox').fill('NO_RECIPIENTS');
    await page.locator('.result').first().click();
    await page.locator('main').getByText('NO_RECIPIENTS').first().waitFor();
    expect(new Set(asked)).toEqual(new Set([site.url]));
    expect(faults).toEqual([]);
  });
});
