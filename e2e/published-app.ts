import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

// The packages as users get them: packed, unpacked, and used by an application that has nothing else of this repository.
// It is outside of it, so that nothing is found by accident.

export const run = promisify(execFile);
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** The packages that are published. */
export const PACKED = ['broadcaster', 'client', 'shared', 'tokens'];

export interface PublishedApp {
  folder: string;
  /** A path below `node_modules`. */
  installed: (path?: string) => string;
  remove: () => void;
}

export const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

function dependenciesOf(folder: string): string[] {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
  };
  return Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
}

/** The tarball of a package, in a folder of tarballs. */
const tarballIn = (folder: string, name: string): string =>
  join(folder, readdirSync(folder).find((file) => file.startsWith(`groupcast-${name}-`)) ?? 'none');

let packing: Promise<string> | undefined;

/** A folder with the tarballs, made once in a process. */
async function pack(): Promise<string> {
  packing ??= (async () => {
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-packed-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const workspaces = PACKED.flatMap((name) => ['--workspace', `packages/${name}`]);
    await run('npm', ['pack', '--offline', '--silent', '--pack-destination', folder, ...workspaces], { cwd: ROOT });
    return folder;
  })();
  return packing;
}

/** The tarball of a package, as `npm pack` makes it. */
export async function tarballOf(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(readFileSync(tarballIn(await pack(), name)));
}

/** The work of `npm install`, with this repository's `node_modules` for a registry. A package that is not declared is not there. */
export async function installApp(react: '18' | '19' = '19'): Promise<PublishedApp> {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-published-'));
  const installed = (path = ''): string => join(folder, 'node_modules', path);
  cpSync(join(ROOT, 'e2e/published'), folder, { recursive: true });
  const tarballs = await pack();
  const declared = dependenciesOf(folder);
  for (const name of PACKED) {
    const target = installed(`@groupcast/${name}`);
    mkdirSync(target, { recursive: true });
    await run('tar', ['-xzf', tarballIn(tarballs, name), '-C', target, '--strip-components=1']);
    declared.push(...dependenciesOf(target));
  }
  for (const name of new Set(declared)) {
    if (PACKED.some((packed) => name === `@groupcast/${packed}`)) continue;
    mkdirSync(dirname(installed(name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), installed(name));
  }
  if (react === '18') {
    // Copies: the target of a link would find React 19 beside it.
    const older = join(ROOT, 'e2e/react-18/node_modules');
    for (const [from, name] of [
      [older, 'react'],
      [older, 'react-dom'],
      [older, 'scheduler'],
      [join(ROOT, 'node_modules'), '@tanstack/react-query'],
      [join(ROOT, 'node_modules'), '@tanstack/query-core'],
      [join(ROOT, 'node_modules'), 'loose-envify'],
      [join(ROOT, 'node_modules'), 'js-tokens'],
    ] as const) {
      rmSync(installed(name), { recursive: true, force: true });
      cpSync(join(from, name), installed(name), { recursive: true, dereference: true });
    }
  }
  return { folder, installed, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript' };

/** Serves the files of a folder, as they are now. */
export async function serve(folder: string): Promise<Server> {
  const files = new Map(filesIn(folder).map((file) => [`/${file}`, readFileSync(join(folder, file))]));
  const server = createServer(({ url = '' }, response) => {
    const body = files.get(url);
    response.writeHead(body ? 200 : 404, { 'content-type': TYPES[extname(url)] ?? 'text/plain' }).end(body);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
