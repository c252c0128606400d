// Part of the build: the database that the service begins with, which it would have to make and to migrate when it starts for the first time.
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';

/** PostgreSQL's log grows by files of 1 MB in place of 16: the first one is nearly half of all bytes that a start copies otherwise. */
const SMALL_LOG = ['--wal-segsize=1'];
/** Statements that leave out what nobody reads. Each is no part of a transaction. */
const SMALLER = [
  // Databases are copied from these two, and nobody makes another one here: they are two thirds of the files.
  "update pg_database set datistemplate = false where datname in ('template0', 'template1')",
  'drop database template0',
  'drop database template1',
  // A new file of the log.
  'select pg_switch_wal()',
  'checkpoint',
];

const folder = fileURLToPath(new URL('../dist/empty-database', import.meta.url));
const unfinished = `${folder}.new`;
for (const old of [folder, unfinished]) rmSync(old, { recursive: true, force: true });
mkdirSync(unfinished);
const files = join(unfinished, 'database');
// Closed, so that the first start has nothing to recover.
await (await PGlite.create(files, { initDbStartParams: SMALL_LOG })).close();
const db = await openEmbeddedDatabase(unfinished);
await migrate(db);
for (const statement of SMALLER) await db.script(statement);
await db.close();
rmSync(join(files, 'postmaster.pid'), { force: true });
// PostgreSQL has made files of its log for later. Its first one is the one that it reads.
const [, ...later] = readdirSync(join(files, 'pg_wal'))
  .filter((name) => /^[0-9A-F]{24}$/.test(name))
  .toSorted();
for (const name of later) rmSync(join(files, 'pg_wal', name));
// Renamed once it is whole: a build that is stopped leaves none.
renameSync(files, folder);
rmSync(unfinished, { recursive: true });
