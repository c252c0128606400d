// Part of the build: an empty database, so that the service need not make one when it starts for the first time.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { create } from 'tar';

const folder = mkdtempSync(join(tmpdir(), 'groupcast-empty-database-'));
try {
  const db = await PGlite.create(folder);
  // Closed, so that the first start has nothing to recover.
  await db.close();
  const file = fileURLToPath(new URL('../dist/empty-database.tgz', import.meta.url));
  const files = readdirSync(folder).filter((name) => name !== 'postmaster.pid');
  create({ sync: true, gzip: true, portable: true, cwd: folder, file }, files);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
