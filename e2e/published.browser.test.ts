import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { checkPackage, createPackageFromTarballData, type Problem } from '@arethetypeswrong/core';
import { startSystem, tokenFor } from '@groupcast/testing';
import type { Page } from 'playwright-core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  type ChatBrowser,
  connected,
  expectMessages,
  messages,
  openGroup,
  say,
  startChatBrowser,
} from './chat-browser.ts';
import { filesIn, installApp, PACKED, type PublishedApp, ROOT, run, serve, tarballOf } from './published-app.ts';

/** jose is no CommonJS, and neither is what is made of it. */
const ESM_ONLY = 'tokens';

let app: string;
let installed: PublishedApp['installed'];
let remove: () => void;

beforeAll(async () => {
  ({ folder: app, installed, remove } = await installApp());
});
afterAll(() => remove());

test.each(PACKED)('@groupcast/%s has what was built and its sources, and no tests', (name) => {
  const folder = installed(`@groupcast/${name}`);
  const files = filesIn(folder);
  const commonjs = name === ESM_ONLY ? [] : ['cjs/index.js', 'cjs/index.d.ts', 'cjs/package.json'];
  const built = ['index.js', 'index.d.ts', ...commonjs];
  const needed = ['LICENSE', 'README.md', 'package.json', 'src/index.ts', ...built.map((file) => `dist/${file}`)];
  expect(files).toEqual(expect.arrayContaining(needed));
  const allowed =
    /^(?:dist\/(?:[\w-]+\/)*[\w-]+\.(?:js|d\.ts)(?:\.map)?|src\/(?:[\w-]+\/)*[\w-]+\.tsx?|dist\/cjs\/package\.json|README\.md|LICENSE|package\.json)$/;
  expect(files.filter((file) => !allowed.test(file))).toEqual([]);
  // A debugger, and an editor that looks for a definition, find the source that a map names.
  const maps = files.filter((file) => file.endsWith('.map'));
  const missing = maps.flatMap((map) => {
    const { sources } = JSON.parse(readFileSync(join(folder, map), 'utf8')) as { sources: string[] };
    return sources.filter((source) => !files.includes(join(dirname(map), source)));
  });
  expect([maps.length > 4, missing]).toEqual([true, []]);
});

test.each(PACKED)('publint has no complaint about @groupcast/%s', async (name) => {
  const found = await publint({ pack: { tarball: (await tarballOf(name)).buffer }, strict: true });
  expect(found.messages.map((message) => formatMessage(message, found.pkg))).toEqual([]);
});

test.each(PACKED)('@groupcast/%s has the right types for every way to load it', async (name) => {
  const found = await checkPackage(createPackageFromTarballData(await tarballOf(name)));
  if (!found.types) throw new Error(`@groupcast/${name} has no types`);
  const isKnown = ({ kind }: Problem): boolean => name === ESM_ONLY && kind === 'CJSResolvesToESM';
  expect(found.problems.filter((problem) => !isKnown(problem))).toEqual([]);
});

test('an error of one copy is known to the other: an application may load ES modules and CommonJS at once', async () => {
  const script = `
    import { createRequire } from 'node:module';
    import * as esm from '@groupcast/broadcaster';
    import * as http from '@groupcast/broadcaster/http';
    import { ClientError } from '@groupcast/client';
    import { toErrorBody } from '@groupcast/shared';
    const load = createRequire(import.meta.url);
    const [cjs, client] = [load('@groupcast/broadcaster'), load('@groupcast/client')];
    const [one, two] = [new esm.GroupcastError('NOT_FOUND', 'x'), new cjs.GroupcastError('NOT_FOUND', 'x')];
    const other = new client.ClientError('CLOSED', 'x');
    class Own extends esm.GroupcastError {}
    console.log(JSON.stringify([
      esm.GroupcastError !== cjs.GroupcastError && esm.GroupcastError === http.GroupcastError,
      one instanceof cjs.GroupcastError, two instanceof esm.GroupcastError, toErrorBody(two).code,
      ClientError !== client.ClientError && other instanceof ClientError,
      new Own('NOT_FOUND', 'x') instanceof Own, new Own('NOT_FOUND', 'x') instanceof cjs.GroupcastError,
      one instanceof Own, other instanceof esm.GroupcastError, new Error('x') instanceof esm.GroupcastError,
      [null, undefined, 'x', {}].some((value) => value instanceof esm.GroupcastError || value instanceof ClientError),
    ]));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: app });
  const known = [true, true, true, 'NOT_FOUND', true, true, true];
  expect(JSON.parse(stdout)).toEqual([...known, false, false, false, false]);
});

test('@groupcast/client loads nothing but what it names: of @groupcast/shared only types, and what needs no schemas', () => {
  const folder = installed('@groupcast/client');
  const code = filesIn(folder).filter((file) => file.endsWith('.js') && !file.startsWith('dist/cjs/'));
  const imported = code.flatMap((file) =>
    Array.from(
      readFileSync(join(folder, file), 'utf8').matchAll(/\b(?:from|import)\s*\(?\s*['"]([^.'"][^'"]*)['"]/g),
      ([, specifier]) => `${file.startsWith('dist/react/') ? 'react' : 'core'}: ${specifier}`,
    ),
  );
  expect(Array.from(new Set(imported)).toSorted()).toEqual([
    'core: @groupcast/shared/bounded-body',
    'core: @groupcast/shared/positions',
    'core: socket.io-client',
    'react: @groupcast/shared/positions',
    'react: @tanstack/react-query',
    'react: react',
    'react: react/jsx-runtime',
  ]);
});

test.each([
  ['NodeNext', 'NodeNext'],
  ['ESNext', 'Bundler'],
])('a strict application compiles with module %s, resolution %s, and finds no any', async (module, resolution) => {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = ['--project', app, '--module', module, '--moduleResolution', resolution];
  const outcome = await run(process.execPath, [tsc, ...options]).then(
    () => 'compiles',
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
  );
  expect(outcome).toBe('compiles');
});

/** Both pages for production, and the modules that they are made of. */
async function bundle(): Promise<string[]> {
  // Vitest's own would give the pages React's development build.
  vi.stubEnv('NODE_ENV', 'production');
  try {
    const input = ['index.html', 'vanilla.html'].map((page) => join(app, page));
    const options = { configFile: false, logLevel: 'error', root: app, build: { rollupOptions: { input } } } as const;
    const { output } = (await build(options)) as Rollup.RollupOutput;
    return output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  } finally {
    vi.unstubAllEnvs();
  }
}

/** From now on the page complains when a text is on screen twice, be it for one frame, which no polling test would catch. */
async function complainOfDoubles(page: Page): Promise<void> {
  await page.evaluate(() => {
    const look = (): void => {
      const texts = Array.from(document.querySelectorAll('.content'), (row) => row.textContent);
      if (new Set(texts).size < texts.length) console.error(`on screen twice: ${texts.join(', ')}`);
    };
    new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
  });
}

test('bundled, a React page and one without a framework read each other once and in order', async () => {
  const modules = await bundle();
  expect(modules.filter((id) => id.includes('@groupcast/client/dist/react/'))).not.toEqual([]);
  expect(modules.filter((id) => /\/node_modules\/zod\/|\.development\./.test(id))).toEqual([]);
  const fromShared = modules
    .filter((id) => id.includes('@groupcast/shared/'))
    .map((id) => id.replace(/.*\/dist\//, ''));
  expect(fromShared.toSorted()).toEqual(['bounded-body.js', 'positions.js']);
  expect(modules.filter((id) => id.startsWith(join(ROOT, 'packages')))).toEqual([]);

  let browser: ChatBrowser | undefined;
  const [system, server] = await Promise.all([startSystem(), serve(join(app, 'dist'))]);
  try {
    browser = await startChatBrowser();
    const alicesToken = await tokenFor('alice');
    const ask = async (path: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`${system.apiUrl}/api/messaging/groups${path}`, {
        ...init,
        headers: { authorization: `Bearer ${alicesToken}`, 'content-type': 'application/json' },
      });
    const created = await ask('', { method: 'POST', body: JSON.stringify({ name: 'Packed', memberIds: ['bob'] }) });
    const { group } = (await created.json()) as { group: { id: string } };
    const address = (page: string, token: string): string =>
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/${page}#${new URLSearchParams({ api: system.apiUrl, token, group: group.id })}`;
    const alice = await browser.open(address('index.html', alicesToken));
    const bob = await browser.open(address('vanilla.html', await tokenFor('bob')));
    for (const page of [alice, bob]) {
      await connected(page);
      await complainOfDoubles(page);
    }

    await say(bob, 'Hello from a page without React');
    await alice.getByText('1 unread').waitFor();
    await openGroup(alice, 'Packed');
    await alice.getByText('0 unread').waitFor();
    await expectMessages(alice, ['Hello from a page without React']);
    await say(alice, 'Hello from React');
    await expectMessages(bob, ['Hello from a page without React', 'Hello from React']);

    // Both at once: the API decides on the order, and both pages show that one.
    for (const n of [1, 2, 3, 4, 5]) await Promise.all([say(alice, `React ${n}`), say(bob, `plain ${n}`)]);
    await expect.poll(() => messages(alice).count()).toBe(12);
    await say(alice, 'the end');
    const saved = async (): Promise<string[]> => {
      const page = (await (await ask(`/${group.id}/messages`)).json()) as { messages: { content: string }[] };
      return page.messages.map(({ content }) => content);
    };
    await expect.poll(saved).toHaveLength(13);
    // The last message came after every second copy that there might be.
    await expectMessages(alice, await saved());
    await expectMessages(bob, await saved());
    expect(browser.complaints).toEqual([]);
  } finally {
    await browser?.close();
    await system.stop();
    server.closeAllConnections();
    server.close();
  }
});
