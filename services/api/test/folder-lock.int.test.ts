import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ManagedProcess, manage, startNode, TEST_SECRETS, until } from '@groupcast/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { lockFolder } from '../src/db/folder-lock.ts';

const SCRIPT = fileURLToPath(new URL('./hold-folder.ts', import.meta.url));
const API = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const NODE = [process.execPath, '--conditions', '@groupcast/source', '--import', import.meta.resolve('tsx')];
const IN_USE = /^unable to open the embedded database; \S+ is in use by process \d+/;

/** The words before a command that give it process ids of its own, as a container has them. `undefined` where that is not allowed. */
const ownProcessIds = [
  ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'],
].find(([file = '', ...words]) => {
  try {
    execFileSync(file, [...words, 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

let parent: string;
let folder: string;
let processes: ManagedProcess[];
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'groupcast-lock-'));
  folder = join(parent, 'database');
  mkdirSync(folder);
  processes = [];
});
afterEach(async () => {
  await Promise.all(processes.map(async (child) => child.stop()));
  rmSync(parent, { recursive: true, force: true });
});

function run(words: readonly string[], env: Readonly<Record<string, string>> = {}): ManagedProcess {
  const [file = '', ...rest] = words;
  const child = manage(file, rest, { env: { PATH: process.env['PATH'] ?? '', ...env } });
  processes.push(child);
  return child;
}

async function startHolder(before: readonly string[] = []): Promise<ManagedProcess> {
  const child = run([...before, ...NODE, SCRIPT, folder]);
  await child.wrote('holds it');
  return child;
}

/** The refusal of a process that wants the folder now; nothing when it gets it. */
function refusal(): string {
  try {
    lockFolder(folder)();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the lock of the embedded database', () => {
  test.skipIf(!ownProcessIds)('holds against a process in another container on the same volume (G45)', async () => {
    await startHolder(ownProcessIds);
    expect(refusal()).toMatch(IN_USE);
  });

  test.skipIf(!ownProcessIds)('holds against a process outside of the container that asks', async () => {
    const unlock = lockFolder(folder);
    const asking = run([...(ownProcessIds ?? []), ...NODE, SCRIPT, folder]);
    await asking.wrote('refused: ');
    unlock();
    expect(asking.output()).not.toContain('holds it');
  });

  test('holds while its holder is suspended', async () => {
    const holder = await startHolder();
    holder.signal('SIGSTOP');
    expect(refusal()).toMatch(IN_USE);
  });

  test('is free at once when its holder was killed (G45)', async () => {
    const holder = await startHolder();
    expect(refusal()).toMatch(IN_USE);
    await holder.stop();
    expect(refusal()).toBe('');
  });

  test('is free when its holder was killed and nobody has reaped it', async () => {
    // The shell becomes a program that never asks after its child.
    const parentOfHolder = run(['/bin/sh', '-c', '"$@" & exec sleep 600', 'sh', ...NODE, SCRIPT, folder]);
    await parentOfHolder.wrote('holds it');
    const [pid] = execFileSync('pgrep', ['-P', String(parentOfHolder.child.pid)], { encoding: 'utf8' }).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    // A zombie from here on; its other threads may still take a moment to end.
    await until('the lock', () => refusal() === '');
    expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z ');
  });

  test.each([
    ['empty', ''],
    ['of an earlier version', '999999999 1'],
    ['full of something else', '\u0000'.repeat(10_000)],
    ['naming a process that runs and has nothing to do with it', `${process.ppid} 1`],
  ])('is free where its file is %s', (_, content) => {
    writeFileSync(`${folder}.lock`, content);
    expect(refusal()).toBe('');
  });

  test('goes to exactly one of several that start at once after a crash', async () => {
    const crashed = await startHolder();
    await crashed.stop();
    const go = join(parent, 'go');
    const starting = Array.from({ length: 4 }, () => run([...NODE, SCRIPT, folder, go]));
    await Promise.all(starting.map(async (child) => child.wrote('ready')));
    writeFileSync(go, '');
    await Promise.all(starting.map(async (child) => until('a word', () => /holds it|refused/.test(child.output()))));
    expect(starting.filter((child) => child.output().includes('holds it'))).toHaveLength(1);
  });

  test('is given back, and its file is nobody else’s to read or write', () => {
    const before = process.umask(0);
    try {
      const unlock = lockFolder(folder);
      expect(statSync(`${folder}.lock`).mode & 0o777).toBe(0o600);
      expect(refusal()).toMatch(IN_USE);
      unlock();
      expect(refusal()).toBe('');
    } finally {
      process.umask(before);
    }
  });

  test('that cannot be taken for want of flock is said, and nothing is opened', async () => {
    const child = run([...NODE, SCRIPT, folder], { PATH: parent });
    await child.wrote('refused: ');
    expect(child.output()).toContain('the command flock is missing (install util-linux, or set DATABASE_URL)');
  });
});

test('the embedded database is nobody else’s to read or write, whatever the umask is and its folders were', async () => {
  const before = process.umask(0);
  try {
    for (const path of [parent, folder]) chmodSync(path, 0o777);
    const db = await openEmbeddedDatabase(parent);
    await db.close();
  } finally {
    process.umask(before);
  }
  expect([parent, folder].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700]);
});

test('a second API on one folder is refused in one line, exits 1, and leaves the first one alone', async () => {
  const ports = { API_PORT: '0', API_INTERNAL_PORT: '0' };
  const env = { ...TEST_SECRETS, ...ports, DATA_DIR: parent, RELAY_URL: 'http://127.0.0.1:9', LOG_LEVEL: 'info' };
  const first = startNode([API], env);
  processes.push(first);
  await first.wrote('"listening"');
  const second = run([...(ownProcessIds ?? []), process.execPath, API], env);
  expect(await second.exited()).toBe(1);
  expect(second.output().trim().split('\n')).toHaveLength(1);
  expect(second.output()).toMatch(/^api: unable to open the embedded database; \S+ is in use by process \d+ on /);
  expect(existsSync(join(parent, 'database', 'PG_VERSION'))).toBe(true);
  expect(first.child.exitCode).toBeNull();
});
