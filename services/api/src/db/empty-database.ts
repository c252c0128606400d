import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { makeFolderPrivate } from '@groupcast/service-kit';

/** Made by the build. Where it is missing, PostgreSQL makes its files itself, which takes several times as long and much memory. */
const EMPTY_DATABASE = fileURLToPath(new URL('../../dist/empty-database.tgz', import.meta.url));

/**
 * Fills an empty folder with the files of an empty database, all of them or none: a process that is killed meanwhile leaves a folder
 * beside it, which the next one removes.
 */
export async function createEmptyDatabase(folder: string): Promise<void> {
  if (!existsSync(EMPTY_DATABASE) || readdirSync(folder).length > 0) return;
  const unfinished = `${folder}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  try {
    makeFolderPrivate(unfinished);
    const loadDataDir = new File([readFileSync(EMPTY_DATABASE)], 'empty-database.tgz', { type: 'application/x-gzip' });
    const db = await PGlite.create(unfinished, { loadDataDir });
    await db.close();
    renameSync(unfinished, folder);
  } catch {
    // A full disk, say: PostgreSQL meets it too, and what it says is handled.
    rmSync(unfinished, { recursive: true, force: true });
  }
}
