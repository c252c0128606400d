import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { makeDataDirPrivate } from '@groupcast/service-kit';
import type { Database, Queryable, Row } from './database.ts';
import { fromDatabaseError } from './database-errors.ts';
import { lockFolder } from './folder-lock.ts';
import { prepareStatements } from './prepared-statements.ts';

type Driver = (text: string, params: unknown[]) => Promise<{ rows: unknown[]; affectedRows?: number }>;

function wrap(driver: Driver, onQuery: () => void): Queryable {
  return {
    async query<R extends Row>(text: string, params: readonly unknown[] = []) {
      onQuery();
      try {
        const { rows, affectedRows } = await driver(text, [...params]);
        return { rows: rows as R[], count: rows.length || (affectedRows ?? 0) };
      } catch (error) {
        throw fromDatabaseError(error);
      }
    },
  };
}

/**
 * PostgreSQL inside this process, in `<dataDir>/database`. Safe against a crashed process, not against a power cut: it
 * calls no fsync. One process at a time; a second one is refused.
 */
export async function openEmbeddedDatabase(dataDir: string): Promise<Database> {
  makeDataDirPrivate(dataDir);
  // PGlite creates its files for everybody to read and write; nobody else gets as far as to them.
  const folder = join(dataDir, 'database');
  const unlock = lockFolder(folder);
  const db = await PGlite.create(folder).catch((error: unknown) => {
    unlock();
    throw error;
  });
  const statements = prepareStatements(db);
  let queries = 0;
  const count = (): void => {
    queries += 1;
  };
  return {
    kind: 'embedded',
    ...wrap(statements, count),
    queryCount: () => queries,
    async script(sql) {
      await db.exec(sql);
    },
    async transaction(work) {
      return db.transaction((tx) => work(wrap(statements.within(tx), count)));
    },
    listen: async () => async () => undefined,
    notify: async () => undefined,
    async close() {
      await db.close();
      unlock();
    },
  };
}
