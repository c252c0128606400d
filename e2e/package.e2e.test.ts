import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ManagedProcess, manage } from '@groupcast/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';

// The package `groupcast` as npm packs it, unpacked outside of this repository: what it lacks, it does not find by accident.

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'packages/groupcast/package.json'), 'utf8')) as {
  version: string;
  bin: { groupcast: string };
  optionalDependencies: Record<string, string>;
};

let home: string;
const unpacked = (path = ''): string => join(home, 'package', path);
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'groupcast-package-'));
  const pack = ['pack', '--offline', '--silent', '--workspace', 'packages/groupcast', '--pack-destination', home];
  const tarball = execFileSync('npm', pack, { cwd: ROOT, encoding: 'utf8' }).trim();
  execFileSync('tar', ['-xzf', tarball], { cwd: home });
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = home): ManagedProcess {
  return manage(process.execPath, [unpacked(MANIFEST.bin.groupcast), ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
}

async function outputOf(...args: string[]): Promise<string> {
  const command = run(args);
  expect([await command.exited(), args]).toEqual([0, args]);
  return command.output();
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

test('the tarball of groupcast has every file that its programs read when they run', () => {
  const bundles = filesIn(unpacked('dist')).filter((path) => path.endsWith('.js') && !path.startsWith('apps/'));
  const read = bundles.flatMap((path) => {
    const text = readFileSync(unpacked(`dist/${path}`), 'utf8');
    const places = text.matchAll(/new URL\("([^"]+)", fromBundle\("([^"]+)"\)\)/g);
    return Array.from(places, ([, file = '', source = '']) => join(dirname(join(dirname(path), source)), file));
  });
  // The tree itself, which the commands look for services in, is its folder.
  const names = [...new Set(read)].map((path) => path.replace(/\/$/, '')).filter((path) => path !== '.');
  // Those that are there before the package is put together, and none too few.
  expect(names.toSorted()).toEqual([
    'apps/demo/dist',
    'apps/monitor/dist',
    'packages/cli/package.json',
    'packages/dialects/files',
    'packages/service-kit/dist/docs-page',
    'services/api/dist/empty-database',
    'services/api/migrations',
    'services/socket-relay/lua',
    'services/socket-relay/package.json',
  ]);
  for (const name of names) {
    const here = join(ROOT, name);
    const asOneFile = name.endsWith('/empty-database');
    const expected = asOneFile
      ? [`${name}.gz`]
      : name.includes('.json')
        ? [name]
        : filesIn(here).map((file) => `${name}/${file}`);
    expect(expected.length).toBeGreaterThan(0);
    expect(expected.filter((path) => !existsSync(unpacked(`dist/${path}`)))).toEqual([]);
  }
});

test('groupcast is not packed before it is built', () => {
  const folder = join(home, 'unbuilt');
  cpSync(join(ROOT, 'packages/groupcast'), folder, {
    recursive: true,
    filter: (path) => path !== join(ROOT, 'packages/groupcast/dist'),
  });
  const { status, stderr } = spawnSync('npm', ['pack', '--offline', '--silent'], { cwd: folder, encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, 'unable to pack groupcast; dist is not complete: run npm run build first\n']);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tgz'))).toEqual([]);
});

test('groupcast from its tarball, without any other package, has its commands and runs a relay', async () => {
  expect(await outputOf('--help')).toContain('check-config');
  expect(await outputOf('--version')).toBe(`${MANIFEST.version}\n`);
  expect(await outputOf('check-config', 'start')).toContain('is valid');
  const relay = run(['relay'], { API_URL: '', RELAY_PORT: '0', RELAY_INTERNAL_PORT: '0', SHUTDOWN_DRAIN_SECONDS: '0' });
  await relay.wrote('"msg":"listening"');
  relay.signal('SIGTERM');
  expect(await relay.exited()).toBe(0);
  // Its data is in the folder where it was started.
  expect(readdirSync(join(home, '.groupcast'))).toEqual(['.gitignore', 'secrets.json']);
  expect(readFileSync(join(home, '.groupcast/.gitignore'), 'utf8')).toBe('*\n');
});

test.each(['start', 'relay'])(
  'groupcast %s logs the path of the .env that it has read, and which database it uses',
  async (program) => {
    const folder = mkdtempSync(join(home, 'shop-'));
    writeFileSync(join(folder, '.env'), 'DATABASE_URL=postgres://shop:hunter2@127.0.0.1:2/shop_production\nAPI_URL=\n');
    const ports = { RELAY_PORT: '0', RELAY_INTERNAL_PORT: '0', API_PORT: '0', API_INTERNAL_PORT: '0' };
    const started = run([program], { ...ports, SHUTDOWN_DRAIN_SECONDS: '0' }, folder);
    try {
      await started.wrote(`"file":"${join(folder, '.env')}","msg":"variables of this file are used"`);
      if (program === 'start') {
        await started.wrote('"host":"127.0.0.1","port":2,"database":"shop_production","msg":"using this database"');
        expect(await started.exited()).toBe(1);
      } else {
        await started.wrote('"msg":"listening"');
        expect(started.output().split('\n')[0]).toContain('.env');
      }
      expect(started.output()).not.toMatch(/hunter2|shop:/);
    } finally {
      await started.stop();
    }
  },
);

test('groupcast api without the package of the embedded database ends, and names the two ways out', async () => {
  const api = run(['api'], { API_PORT: '0', API_INTERNAL_PORT: '0' });
  expect(await api.exited()).toBe(1);
  expect(api.output()).toBe(
    'api: unable to open the embedded database; its package is not installed: npm install @electric-sql/pglite, or set DATABASE_URL\n',
  );
  const { dependencies } = JSON.parse(
    readFileSync(join(ROOT, 'services/api/package.json'), 'utf8'),
  ) as typeof MANIFEST & {
    dependencies: Record<string, string>;
  };
  expect(MANIFEST.optionalDependencies).toEqual(dependencies);
});
