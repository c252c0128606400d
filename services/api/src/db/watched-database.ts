import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Database, Queryable } from './database.ts';
import { codeOf, StorageFailure } from './database-errors.ts';

export interface WatchedDatabase extends Database {
  /** Resolves when the database can do its work: it answers and, where it could not write before, can write again. */
  check(): Promise<void>;
}

const LOG_INTERVAL_MS = 60_000;
/** A megabyte that the disk has to have room for. It is gone with the transaction. */
const WRITE_SOMETHING = `create temporary table groupcast_write_check on commit drop as
  select repeat(md5(n::text), 32) as filler from generate_series(1, 1024) as n`;
/** SQLSTATE `insufficient_privilege`: this user may make no temporary tables. */
const NOT_PERMITTED = '42501';

/**
 * The same database, whose failures are said in the log once a minute, and known to `/readyz`. A full disk answers `select 1`
 * as ever: after a write that failed, only a write that succeeds shows that it is over.
 */
export function watchDatabase(db: Database, log: Logger): WatchedDatabase {
  const warn = warnOnceEvery(LOG_INTERVAL_MS);
  let canWrite = true;

  function observe(error: unknown): void {
    if (!(error instanceof GroupcastError) || error.code !== 'API_UNAVAILABLE') return;
    const isStorage = error instanceof StorageFailure;
    if (isStorage) canWrite = false;
    warn(isStorage ? 'storage' : 'reach', (suppressed) => {
      const what = isStorage ? 'the database cannot write (is its disk full?)' : 'the database cannot be reached';
      log.error({ err: error, database: db.kind, suppressed }, `${what}: requests are refused until it is back`);
    });
  }

  async function watch<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      observe(error);
      throw error;
    }
  }

  async function write(tx: Queryable): Promise<void> {
    await tx.query(WRITE_SOMETHING);
  }

  return {
    ...db,
    query: async (text, params) => watch(async () => db.query(text, params)),
    transaction: async (work) => watch(async () => db.transaction(work)),
    async check() {
      if (canWrite) {
        await watch(async () => db.query('select 1'));
        return;
      }
      await watch(async () => db.transaction(write)).catch((error: unknown) => {
        if (codeOf(error) !== NOT_PERMITTED) throw error;
      });
      if (!canWrite) log.info({ database: db.kind }, 'the database can write again');
      canWrite = true;
    },
  };
}
