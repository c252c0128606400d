import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

/** Removes what tsc has made of sources that are gone: it leaves these files, and npm would pack them. */
export function removeStaleFiles(dist) {
  const sources = new Set(filesIn('src').map((file) => file.replace(/\.tsx?$/, '')));
  for (const file of filesIn(dist)) {
    const source = file.replace(/^cjs\//, '').replace(/\.(?:d\.ts|js)(?:\.map)?$/, '');
    if (!file.startsWith('.') && file !== 'cjs/package.json' && !sources.has(source))
      rmSync(join(dist, file), { force: true });
  }
}
