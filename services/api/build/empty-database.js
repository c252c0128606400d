// Part of the build: an empty database, so that the service need not make one when it starts for the first time.
import { writeFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';

const db = await PGlite.create();
const files = await db.dumpDataDir('gzip');
writeFileSync(new URL('../dist/empty-database.tgz', import.meta.url), Buffer.from(await files.arrayBuffer()));
await db.close();
