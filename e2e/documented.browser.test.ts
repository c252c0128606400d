import { readFileSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type System, startSystem, tokenFor } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { build, createServer, type InlineConfig } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type ChatBrowser, countLoads, startChatBrowser } from './chat-browser.ts';
import { codeBlock } from './documented/code-blocks.ts';
import { installApp, type PublishedApp, run, serve } from './published-app.ts';

// Readers paste the code of the guide for front-end engineers: here it runs unchanged but for addresses and ids.

const GUIDE = 'docs/front-end.md';
const FRAGMENT = 'new URLSearchParams(location.hash.slice(1))';

let system: System;
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

/** The block with this page's API and group, on a page like its reader's. */
function runnable(mark: string): string {
  const { code } = codeBlock(GUIDE, mark);
  const here = code
    .replaceAll("'https://chat.example.com'", `(${FRAGMENT}.get('api') ?? '')`)
    .replaceAll('{42}', `{${FRAGMENT}.get('group') ?? ''}`)
    .replaceAll("'42'", `(${FRAGMENT}.get('group') ?? '')`);
  expect(here).not.toBe(code);
  return `import './prelude.ts';\n${here}`;
}

const page = (script: string, body: string): string =>
  `<!doctype html><html lang="en"><head><title>documented</title><link rel="icon" href="data:,"></head>
   <body>${body}<script type="module" src="./${script}"></script></body></html>`;

async function newGroup(): Promise<string> {
  const response = await fetch(`${system.apiUrl}/api/messaging/groups`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenFor('alice')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Documented', memberIds: ['bob'] }),
  });
  return ((await response.json()) as { group: { id: string } }).group.id;
}

async function sayAs(user: string, groupId: string, content: string): Promise<void> {
  const response = await fetch(`${system.apiUrl}/api/messaging/groups/${groupId}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenFor(user)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ content }),
  });
  expect(response.status).toBe(201);
}

/** The HTML of a server: a process of its own, which ends although its module has made a client. */
async function render(module: string, groupId: string): Promise<string> {
  const code = `import { render } from ${JSON.stringify(module)}; console.log(render(${JSON.stringify(groupId)}));`;
  return (await run(process.execPath, ['--input-type=module', '--eval', code], { timeout: 20_000 })).stdout.trim();
}

describe.each(['18', '19'] as const)('with React %s', (react) => {
  let app: PublishedApp;
  let server: Server;

  beforeAll(async () => {
    app = await installApp(react);
    const file = (name: string): string => join(app.folder, name);
    writeFileSync(file('react.tsx'), runnable('createRoot(document.getElementById'));
    writeFileSync(file('vanilla.ts'), runnable('form.onsubmit = '));
    writeFileSync(file('react.html'), page('react.tsx', '<div id="root"></div>'));
    writeFileSync(
      file('plain.html'),
      page('vanilla.ts', '<div id="messages"></div><form><input aria-label="Message"></form>'),
    );
    writeFileSync(file('hydrate.html'), page('hydrate-browser.tsx', '<div id="root"><!--here--></div>'));
    // Vitest's own would give the pages React's development build.
    vi.stubEnv('NODE_ENV', 'production');
    const shared: InlineConfig = { configFile: false, logLevel: 'error', root: app.folder };
    const input = ['react.html', 'plain.html', 'hydrate.html'].map(file);
    await build({ ...shared, build: { rollupOptions: { input } } });
    await build({ ...shared, build: { ssr: 'hydrate-server.tsx', outDir: 'ssr' } });
    vi.unstubAllEnvs();
  });
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });
  afterAll(() => app?.remove());

  async function open(name: string, user: string, groupId: string): Promise<Page> {
    const { port } = server.address() as AddressInfo;
    const fragment = new URLSearchParams({ api: system.apiUrl, token: await tokenFor(user), group: groupId });
    return browser.open(`http://127.0.0.1:${port}/${name}#${fragment}`);
  }

  test('the React example and the one without a framework send and show, and nothing navigates away (G55)', async () => {
    server = await serve(join(app.folder, 'dist'));
    const groupId = await newGroup();
    const [alice, bob] = [await open('react.html', 'alice', groupId), await open('plain.html', 'bob', groupId)];
    const loads = [countLoads(alice), countLoads(bob)];
    for (const [from, to, text] of [
      [alice, bob, 'from React'],
      [bob, alice, 'from no framework'],
    ] as const) {
      await from.getByRole('textbox', { name: 'Message' }).fill(text);
      await from.keyboard.press('Enter');
      await to.getByText(text).waitFor();
      await from.getByText(text).waitFor();
    }
    expect(loads.map((count) => count())).toEqual([0, 0]);
    expect(browser.complaints).toEqual([]);
  });

  test('a page that a server has rendered is taken over by a browser whose client knows everything already (G53)', async () => {
    const groupId = await newGroup();
    await sayAs('bob', groupId, 'said before');
    const path = join(app.folder, 'dist/hydrate.html');
    const rendered = await render(join(app.folder, 'ssr/hydrate-server.js'), groupId);
    expect(rendered).toContain('idle');
    writeFileSync(path, readFileSync(path, 'utf8').replace('<!--here-->', rendered));
    server = await serve(join(app.folder, 'dist'));
    const alice = await open('hydrate.html', 'alice', groupId);
    await alice.getByRole('status').filter({ hasText: 'connected' }).waitFor();
    await alice.getByText('said before').waitFor();
    await alice.getByText('2 of 2 members').waitFor();
    expect(browser.complaints).toEqual([]);
  });
});

test.each([
  ['Vite', 'import.meta.hot?.dispose', 'client.ts'],
  ['Next.js and everything else', 'globalThis as typeof globalThis', 'client.tsx'],
])('a module that is loaded again and again leaves one connection: %s', async (_, mark, name) => {
  const app = await installApp();
  const file = (path: string): string => join(app.folder, path);
  const code = runnable(mark);
  const version = (n: number): string =>
    `${code}\ndocument.title = 'version ${n}';\nclient.connection.subscribe(() => { document.body.dataset.state = client.connection.getSnapshot().state; });\n`;
  writeFileSync(file(name), version(0));
  writeFileSync(file('hot.ts'), `import './${name}';\nimport.meta.hot?.accept('./${name}', () => undefined);\n`);
  writeFileSync(file('hot.html'), page('hot.ts', ''));
  const vite = await createServer({
    configFile: false,
    logLevel: 'error',
    root: app.folder,
    server: { host: '127.0.0.1', port: 0, strictPort: false },
  });
  try {
    await vite.listen();
    const address = vite.resolvedUrls?.local[0] ?? '';
    const fragment = new URLSearchParams({ api: system.apiUrl, token: await tokenFor('alice'), group: '1' });
    const tab = await browser.open('about:blank');
    const open = new Set<string>();
    let opened = 0;
    tab.on('websocket', (socket) => {
      if (!socket.url().includes('/socket.io/')) return;
      const id = String((opened += 1));
      open.add(id);
      socket.on('close', () => open.delete(id));
    });
    await tab.goto(`${address}hot.html#${fragment}`);
    const loads = countLoads(tab);
    for (const n of [1, 2, 3]) {
      await expect.poll(() => open.size, { timeout: 20_000 }).toBe(1);
      writeFileSync(file(name), version(n));
      await expect.poll(() => tab.title(), { timeout: 20_000 }).toBe(`version ${n}`);
    }
    await tab.locator('body[data-state="connected"]').waitFor({ state: 'attached' });
    await expect.poll(() => open.size, { timeout: 20_000 }).toBe(1);
    expect(loads()).toBe(0);
  } finally {
    await browser.closePages();
    await vite.close();
    app.remove();
  }
});
