// The build of the published package: copies the built services, pages and commands, and every file that they read when they run, to
// `dist`, at the places where they lie in the repository. Each finds the others there as it does here (docs/adr/0018).
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packFolder } from '../../../services/api/build/folder-archive.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

const PROGRAMS = ['packages/cli', 'services/api', 'services/socket-relay'];
const PAGES = ['apps/demo/dist', 'apps/monitor/dist'];
const FOLDERS = [
  ...PAGES,
  'packages/dialects/files',
  'packages/service-kit/dist/docs-page',
  'services/api/migrations',
  'services/socket-relay/lua',
];
const EMPTY_DATABASE = 'services/api/dist/empty-database';

function write(path, contents) {
  mkdirSync(dirname(join(DIST, path)), { recursive: true });
  writeFileSync(join(DIST, path), contents);
}

/** The names and licences of the packages whose code is in the bundles and the pages, as their authors ask. */
function thirdParty() {
  const folders = PROGRAMS.flatMap((program) =>
    JSON.parse(readFileSync(join(ROOT, program, 'dist/bundled-packages.json'), 'utf8')),
  );
  const sections = [...new Set(folders)].toSorted().map((folder) => {
    const { name, version: its, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
    const files = readdirSync(join(ROOT, folder)).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file));
    const texts = files.map((file) => readFileSync(join(ROOT, folder, file), 'utf8').trim());
    return [`## ${name} ${its} (${license ?? 'see below'})`, ...texts].join('\n\n');
  });
  const pages = PAGES.map((page) => readFileSync(join(ROOT, page, 'third-party.md'), 'utf8').trim());
  return `# Software of others in this package\n\n${[...sections, ...pages].join('\n\n')}\n`;
}

rmSync(DIST, { recursive: true, force: true });
for (const program of PROGRAMS) {
  cpSync(join(ROOT, program, 'dist'), join(DIST, program, 'dist'), {
    recursive: true,
    // Declarations, and the empty database, which comes as one file.
    filter: (path) => basename(path) === 'dist' || path.endsWith('.js'),
  });
  write(`${program}/package.json`, `${JSON.stringify({ version, private: true, type: 'module' }, null, 2)}\n`);
}
for (const folder of FOLDERS) cpSync(join(ROOT, folder), join(DIST, folder), { recursive: true });
write(`${EMPTY_DATABASE}.gz`, packFolder(join(ROOT, EMPTY_DATABASE)));
write('third-party.md', thirdParty());
