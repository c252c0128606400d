// One file with the contents of a folder, for a package that is installed: npm leaves out folders that are empty, and 10 MB of an empty
// database are 1.3 of an archive. `src/db/folder-archive.ts` reads it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** A line of JSON that lists paths and sizes (folders: -1), and then the contents of the files one after the other; compressed. */
export function packFolder(folder) {
  const entries = [];
  const contents = [];
  function add(path) {
    for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) {
        entries.push([inner, -1]);
        add(inner);
      } else {
        const bytes = readFileSync(join(folder, inner));
        entries.push([inner, bytes.length]);
        contents.push(bytes);
      }
    }
  }
  add('');
  return gzipSync(Buffer.concat([Buffer.from(`${JSON.stringify(entries)}\n`), ...contents]));
}
