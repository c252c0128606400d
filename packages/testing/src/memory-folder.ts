import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';

/** Linux keeps this folder in memory. */
const MEMORY = '/dev/shm';
const PREFIX = 'groupcast-tests-';
/** Far more than the tests of one run keep at a time. Docker gives a container 64 MB unless it is told otherwise. */
const NEEDED_BYTES = 4 * 2 ** 30;

function running(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/**
 * Puts the temporary files of this process and of those it starts into memory, where there is enough of it: an embedded database has a
 * thousand files, which take a second of processor time on a disk. The folder goes with the process; one that was killed leaves it to
 * the next.
 */
export function keepTemporaryFilesInMemory(): void {
  if (process.env['TMPDIR'] !== undefined || !existsSync(MEMORY)) return;
  for (const name of readdirSync(MEMORY).filter((entry) => entry.startsWith(PREFIX))) {
    if (!running(Number(name.slice(PREFIX.length).split('-')[0]))) {
      rmSync(join(MEMORY, name), { recursive: true, force: true });
    }
  }
  const { bavail, bsize } = statfsSync(MEMORY);
  if (Math.min(bavail * bsize, freemem()) < NEEDED_BYTES) return;
  const folder = mkdtempSync(join(MEMORY, `${PREFIX}${process.pid}-`));
  // PostgreSQL runs as a user of its own, who passes through it.
  chmodSync(folder, 0o711);
  process.env['TMPDIR'] = folder;
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
}
