import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Made by installing, building and running, so that nothing of a copy comes from them. */
const MADE = new Set(['node_modules', '.next', 'dist', 'data', 'next-env.d.ts']);

export interface InstalledExample {
  folder: string;
  remove: () => void;
}

/**
 * An example as its users have it: outside of this repository, with what its lock file names from the registry, and our packages as
 * `npm pack` makes them. They lie where its `file:` dependencies point, so that the lock is used as it stands.
 */
export async function installExample(name: string, env: Readonly<Record<string, string>>): Promise<InstalledExample> {
  const home = mkdtempSync(join(tmpdir(), `groupcast-${name}-`));
  const folder = join(home, 'examples', name);
  cpSync(join(ROOT, 'examples', name), folder, {
    recursive: true,
    filter: (path) => !MADE.has(basename(path)),
  });
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const packages = Object.values(dependencies)
    .filter((where) => where.startsWith('file:'))
    .map((where) => basename(where));
  const workspaces = packages.flatMap((one) => ['--workspace', `packages/${one}`]);
  await run('npm', ['pack', '--offline', '--silent', '--pack-destination', home, ...workspaces], { cwd: ROOT });
  for (const one of packages) {
    const target = join(home, 'packages', one);
    mkdirSync(target, { recursive: true });
    const tarball = readdirSync(home).find((file) => file.startsWith(`groupcast-${one}-`)) ?? 'none';
    await run('tar', ['-xzf', join(home, tarball), '-C', target, '--strip-components=1']);
  }
  await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder });
  await run('npm', ['run', 'build'], { cwd: folder, env: { ...process.env, ...env } }).catch((error: unknown) => {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${name} does not build:\n${stdout}${stderr}`, { cause: error });
  });
  return { folder, remove: () => rmSync(home, { recursive: true, force: true }) };
}
