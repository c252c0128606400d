import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Database, Queryable } from './database.ts';
import { rootCodeOf } from './database-errors.ts';
import { refuseForeignDatabase } from './foreign-database.ts';

const FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url));
/** The key of the advisory lock: any number that no other program uses. */
const LOCK_ID = 4_701_126;
/** Longest that one statement of a migration may take, in milliseconds: a large table takes time, and so does waiting for another process. */
const PATIENCE = { statementMs: 600_000 };

/**
 * How long a statement waits for the lock of a table, in milliseconds: everybody who comes after it waits as well. A transaction that somebody
 * has open, a dump for example, may keep it for hours, so it is given up and tried again after a pause.
 */
const LOCK_MS = 2_000;
const PAUSE_MS = 1_000;
/** SQLSTATE `lock_not_available`. */
const IS_LOCKED = '55P03';

function migrationFiles(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.sql'))
    .toSorted();
}

/** Answers the migrations that this version has and the database has not seen: somebody has restored an older one, say. */
export async function missingMigrations(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>('select name from schema_migrations');
  const applied = new Set(rows.map(({ name }) => name));
  return migrationFiles().filter((name) => !applied.has(name));
}

/** The first line of a file whose only statement does a part of its work, and is repeated until it changes nothing. */
const REPEATED = /^-- repeat\n/;

/** Does one step in a transaction of its own, and again where a table was locked. Of processes that start together one works at a time. */
async function patiently<T>(db: Database, onLocked: () => void, work: (tx: Queryable) => Promise<T>): Promise<T> {
  for (const endsAt = performance.now() + PATIENCE.statementMs; ; ) {
    try {
      return await db.transaction(async (tx) => {
        await tx.query('select pg_advisory_xact_lock($1)', [LOCK_ID]);
        await tx.query(`set local lock_timeout = ${LOCK_MS}`);
        return work(tx);
      }, PATIENCE);
    } catch (error) {
      if (rootCodeOf(error) !== IS_LOCKED || performance.now() > endsAt) throw error;
      onLocked();
      await setTimeout(PAUSE_MS);
    }
  }
}

/**
 * Brings the database to the newest version: numbered `.sql` files, each in a transaction of its own, once. A file that is repeated takes a
 * transaction for each part, so that a process that is killed in between has lost none of them, and the next one goes on. Processes that
 * start together wait for one another. Throws when a file that was applied has changed since, and where a table stays locked for ten minutes, and
 * `ConfigurationError` before it changes anything in a database of another application.
 */
export async function migrate(
  db: Database,
  onProgress: (name: string, rows: number) => void = () => undefined,
  onLocked: (name: string) => void = () => undefined,
): Promise<string[]> {
  const applied: string[] = [];
  await db.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [LOCK_ID]);
    if (db.kind === 'postgres') await refuseForeignDatabase(tx);
    await tx.query(`create table if not exists schema_migrations (
      name text primary key, sha256 text not null, applied_at timestamptz not null default now())`);
  }, PATIENCE);
  for (const name of migrationFiles()) {
    const sql = readFileSync(join(FOLDER, name), 'utf8');
    const sha256 = createHash('sha256').update(sql).digest('hex');
    /** Answers the rows that were changed by a part, and 0 where the file is done. */
    const step = async (): Promise<number> =>
      patiently(
        db,
        () => onLocked(name),
        async (tx) => {
          const { rows } = await tx.query<{ sha256: string }>('select sha256 from schema_migrations where name = $1', [
            name,
          ]);
          const known = rows[0];
          if (known && known.sha256 !== sha256)
            throw new Error(`unable to migrate; ${name} has changed since it was applied`);
          if (known) return 0;
          let changed = 0;
          for (const statement of sql.split(/^--;;$/m)) changed = (await tx.query(statement)).count;
          if (REPEATED.test(sql) && changed > 0) return changed;
          await tx.query('insert into schema_migrations (name, sha256) values ($1, $2)', [name, sha256]);
          applied.push(name);
          return 0;
        },
      );
    for (let rows = await step(), sum = rows; rows > 0; sum += rows) {
      onProgress(name, sum);
      rows = await step();
    }
  }
  return applied;
}
