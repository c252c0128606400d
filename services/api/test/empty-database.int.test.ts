import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { createEmptyDatabase } from '../src/db/empty-database.ts';
import { migrate } from '../src/db/migrate.ts';

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'groupcast-empty-')), 'database');
  mkdirSync(folder);
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

test('an empty folder gets the files of a database, whatever a process that was killed has left', () => {
  mkdirSync(join(`${folder}.new`, 'base'), { recursive: true });
  writeFileSync(join(`${folder}.new`, 'PG_VERSION'), 'half');
  createEmptyDatabase(folder);
  expect(existsSync(`${folder}.new`)).toBe(false);
  expect(readFileSync(join(folder, 'PG_VERSION'), 'utf8')).toMatch(/^\d+\n$/);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});

test('a first start finds every migration applied, no database besides its own, and little to copy', async () => {
  createEmptyDatabase(folder);
  const bytes = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  expect(bytes).toBeLessThan(12_000_000);
  const db = await openEmbeddedDatabase(join(folder, '..'));
  expect(await migrate(db)).toEqual([]);
  const { rows } = await db.query('select datname from pg_database');
  expect(rows).toEqual([{ datname: 'postgres' }]);
  await db.close();
});

test('a folder with anything in it is left alone', () => {
  writeFileSync(join(folder, 'PG_VERSION'), '17\n');
  createEmptyDatabase(folder);
  expect(readdirSync(folder)).toEqual(['PG_VERSION']);
});

test.each([
  ['is no folder', (template: string) => writeFileSync(template, 'no folder')],
  [
    'cannot be read to its end',
    (template: string) => {
      mkdirSync(join(template, 'base'), { recursive: true });
      writeFileSync(join(template, 'PG_VERSION'), '17\n');
      symlinkSync('nowhere', join(template, 'base', '1'));
    },
  ],
])('a template that %s leaves the folder empty, and says why', (_name, make) => {
  const template = join(folder, '..', 'template');
  make(template);
  expect(createEmptyDatabase(folder, template)).toBeInstanceOf(Error);
  expect(readdirSync(folder)).toEqual([]);
  expect(existsSync(`${folder}.new`)).toBe(false);
});

const { packFolder } = (await import(new URL('../build/folder-archive.js', import.meta.url).href)) as {
  packFolder: (folder: string) => Buffer;
};

/** A folder with a file, one without bytes, one that is no text, and an empty folder. */
function someFolder(path: string): void {
  mkdirSync(join(path, 'base', '1'), { recursive: true });
  mkdirSync(join(path, 'pg_notify'));
  writeFileSync(join(path, 'PG_VERSION'), '17\n');
  writeFileSync(join(path, 'base', 'empty'), '');
  writeFileSync(join(path, 'base', '1', 'rows'), Buffer.from([0, 255, 10, 200, 0]));
}

test('an archive, as the published package has it, holds the same files and empty folders', () => {
  const [template, small] = [join(folder, '..', 'template'), join(folder, '..', 'small')];
  someFolder(small);
  writeFileSync(`${template}.gz`, packFolder(small));
  expect(createEmptyDatabase(folder, template)).toBeUndefined();
  // It prints what differs, and what only one of the two has.
  expect(execFileSync('diff', ['--recursive', '--brief', small, folder], { encoding: 'utf8' })).toBe('');
});

test('an archive that is cut off leaves the folder empty, and says why', () => {
  const [template, small] = [join(folder, '..', 'template'), join(folder, '..', 'small')];
  someFolder(small);
  const whole = packFolder(small);
  writeFileSync(`${template}.gz`, whole.subarray(0, whole.length - 12));
  expect(createEmptyDatabase(folder, template)).toBeInstanceOf(Error);
  expect(readdirSync(folder)).toEqual([]);
});
