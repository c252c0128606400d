// Part of the build: an empty database, so that the service need not make one when it starts for the first time.
import { renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';

const folder = fileURLToPath(new URL('../dist/empty-database', import.meta.url));
// Renamed once it is whole: a build that is stopped leaves none.
const unfinished = `${folder}.new`;
for (const old of [folder, unfinished]) rmSync(old, { recursive: true, force: true });
const db = await PGlite.create(unfinished);
// Closed, so that the first start has nothing to recover.
await db.close();
rmSync(`${unfinished}/postmaster.pid`, { force: true });
renameSync(unfinished, folder);
