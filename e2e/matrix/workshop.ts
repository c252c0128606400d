import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './cells.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const APPS = fileURLToPath(new URL('apps', import.meta.url));
/** Packages that most cells need beside ours. */
export const REACT = ['react@19', 'react-dom@19', '@tanstack/react-query@5'];
export const TYPES = ['@types/node@20', '@types/react@19', '@types/react-dom@19'];
const PUBLISHED = ['broadcaster', 'client', 'shared'];

/** A folder outside of this repository, in which nothing of it is found by accident. */
export interface Workshop {
  /** A folder with these packages from the registry beside ours from their tarballs; made when it is first asked for. */
  install(name: string, packages: readonly string[]): Promise<string>;
  remove(): void;
}

export async function openWorkshop(): Promise<Workshop> {
  const home = mkdtempSync(join(tmpdir(), 'groupcast-matrix-'));
  const workspaces = PUBLISHED.flatMap((name) => ['--workspace', `packages/${name}`]);
  await command(ROOT, 'npm', ['pack', '--silent', '--pack-destination', home, ...workspaces]);
  const tarballs = readdirSync(home).map((file) => join(home, file));
  const folders = new Map<string, Promise<string>>();

  async function make(name: string, packages: readonly string[]): Promise<string> {
    const folder = join(home, name);
    write(folder, { 'package.json': { name: `groupcast-matrix-${name}`, private: true } });
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await command(folder, 'npm', ['install', ...quiet, ...tarballs, ...packages]);
    return folder;
  }

  return {
    async install(name, packages) {
      const folder = folders.get(name) ?? make(name, packages);
      folders.set(name, folder);
      return folder;
    },
    remove: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** Writes files into a folder that need not be there yet; an object becomes JSON. */
export function write(folder: string, files: Readonly<Record<string, string | object>>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  }
}

/** Copies one of `apps` into a folder. */
export function copyApp(name: string, folder: string): void {
  cpSync(join(APPS, name), folder, { recursive: true });
}
