import { execFile } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, type ManagedProcess, manage } from '@groupcast/testing';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type ChatBrowser, expectMessages, logIn, openGroup, say, startChatBrowser } from '../chat-browser.ts';

// The package `groupcast` as its users have it: an empty folder, and what npm installs from the tarball and the registry.

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PORTS = ['API_PORT', 'API_INTERNAL_PORT', 'RELAY_PORT', 'RELAY_INTERNAL_PORT'] as const;

let home: string;
let tarball: string;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'groupcast-install-'));
  const { stdout } = await run(
    'npm',
    ['pack', '--silent', '--workspace', 'packages/groupcast', '--pack-destination', home],
    {
      cwd: ROOT,
    },
  );
  tarball = join(home, stdout.trim());
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const megabytes = (path: string): number =>
  lstatSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + megabytes(join(path, name)), 0)
    : lstatSync(path).size / 1_000_000;

async function timed<T>(work: Promise<T>): Promise<[seconds: string, result: T]> {
  const from = performance.now();
  const result = await work;
  return [((performance.now() - from) / 1_000).toFixed(1), result];
}

interface Folder {
  path: string;
  env: Readonly<Record<string, string>>;
  npx: (...args: string[]) => ManagedProcess;
}

/** An empty folder with the package installed, ports of its own, and nothing else of this environment. */
async function install(name: string, ...options: string[]): Promise<Folder> {
  const path = join(home, name);
  mkdirSync(path);
  const ports = await Promise.all(PORTS.map(async (port) => [port, String(await freePort())] as const));
  // npm finds its configuration and its cache by HOME.
  const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...Object.fromEntries(ports) };
  const words = ['install', tarball, '--no-audit', '--no-fund', ...options];
  const [seconds] = await timed(run('npm', words, { cwd: path, env }));
  const size = megabytes(join(path, 'node_modules')).toFixed(0);
  console.log(
    `npm install ${options.join(' ')} groupcast-*.tgz: ${seconds} s, ${size} MB in node_modules, tarball ${megabytes(tarball).toFixed(1)} MB`,
  );
  return { path, env, npx: (...args) => manage('npx', ['groupcast', ...args], { cwd: path, env }) };
}

async function outputOf(command: ManagedProcess): Promise<string> {
  expect([await command.exited(), command.output()]).toEqual([0, command.output()]);
  return command.output();
}

test('an empty folder, npm install of the tarball, npx groupcast start: two windows talk', async () => {
  const folder = await install('chat');
  const started = folder.npx('start');
  onTestFinished(async () => {
    started.signal('SIGTERM');
    await started.exited();
  });
  const url = `http://localhost:${folder.env['API_PORT']}`;
  const [seconds] = await timed(started.wrote(`Groupcast is ready: open ${url} in two browser windows`, 60_000));
  console.log(`npx groupcast start, for the first time: ${seconds} s`);

  const browser: ChatBrowser = await startChatBrowser();
  onTestFinished(() => browser.close());
  const [alice, bob] = [await logIn(browser, url, 'alice'), await logIn(browser, url, 'bob')];
  for (const page of [alice, bob]) await openGroup(page, 'Lobby');
  await say(alice, 'Is the lamp still there?');
  await expectMessages(bob, ['Is the lamp still there?']);
  await say(bob, 'It is.');
  for (const page of [alice, bob]) await expectMessages(page, ['Is the lamp still there?', 'It is.']);
  expect(browser.complaints).toEqual([]);

  expect(JSON.parse(await outputOf(folder.npx('doctor', '--json')))).toMatchObject({ ok: true });
  expect(
    await outputOf(folder.npx('test-broadcast', '--receivers', '5', '--messages', '20', '--rate', '50')),
  ).toContain('lost 0, duplicated 0, out of order 0');
  expect(await outputOf(folder.npx('token', '--user', 'alice'))).toMatch(/^eyJ/);
  expect(await outputOf(folder.npx('check-config', 'start'))).toContain('is valid');
  const pages = ['API_PORT', 'RELAY_INTERNAL_PORT'].map(
    (port) => `http://localhost:${folder.env[port]}/docs/static/index.css`,
  );
  pages.push(`http://localhost:${folder.env['RELAY_INTERNAL_PORT']}/monitor`);
  for (const page of pages) expect([page, (await fetch(page)).status]).toEqual([page, 200]);
  // Its data is in the folder.
  expect(readdirSync(join(folder.path, '.groupcast')).toSorted()).toEqual([
    '.gitignore',
    'database',
    'database.lock',
    'secrets.json',
  ]);
});

test('without the optional package, start ends and says how to install it, and a relay runs', async () => {
  const folder = await install('small', '--omit=optional');
  expect(existsSync(join(folder.path, 'node_modules/@electric-sql'))).toBe(false);
  const started = folder.npx('start');
  expect(await started.exited()).toBe(1);
  expect(started.output()).toContain('npm install @electric-sql/pglite, or set DATABASE_URL');
  const relay = folder.npx('relay');
  await relay.wrote('"msg":"listening"');
  relay.signal('SIGTERM');
  // All that npx began has ended: until then they hold its output.
  await relay.exited();
  expect(relay.output()).toContain('"msg":"stopped"');
});
