import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Largest archive, unpacked, in bytes. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Writes the contents of an archive that `build/folder-archive.js` has made into a folder that exists. */
export function unpackFolder(archive: string, folder: string): void {
  const bytes = gunzipSync(readFileSync(archive), { maxOutputLength: MAX_BYTES });
  const end = bytes.indexOf('\n');
  const entries = JSON.parse(bytes.toString('utf8', 0, end)) as [path: string, size: number][];
  let offset = end + 1;
  for (const [path, size] of entries) {
    const target = join(folder, path);
    if (size < 0) mkdirSync(target, { mode: 0o700 });
    else writeFileSync(target, bytes.subarray(offset, (offset += size)));
  }
  if (offset !== bytes.length) throw new Error(`${archive} is not whole`);
}
