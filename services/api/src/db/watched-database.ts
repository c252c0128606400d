import { type Logger, type Warn, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Database } from './database.ts';
import {
  codeOf,
  fromStatementError,
  isReadOnly,
  readOnlyFailure,
  reasonOf,
  rootCodeOf,
  StorageFailure,
} from './database-errors.ts';

export interface WatchedDatabase extends Database {
  /** Resolves when the database can do its work: it answers, it takes writes and, where one has failed, one succeeds again. */
  check(): Promise<void>;
}

const LOG_INTERVAL_MS = 60_000;
/** Shortest time between two warnings of an outage, in milliseconds: a database that fails every other request does not flood the log. */
const NEW_OUTAGE_MS = 5_000;
/** A megabyte that the disk has to have room for. It is gone with the transaction. */
const WRITE_SOMETHING = `create temporary table groupcast_write_check on commit drop as
  select repeat(md5(n::text), 32) as filler from generate_series(1, 1024) as n`;
/** What a write of ours would meet: a primary that became a standby, or was made read-only, answers `select 1` as ever. */
const READS_ONLY = `select current_setting('transaction_read_only') = 'on' as reads_only`;
/** SQLSTATE `insufficient_privilege`: this user may make no temporary tables. */
const NOT_PERMITTED = '42501';

function troubleOf(error: GroupcastError): string | undefined {
  if (isReadOnly(error)) return 'the database takes no writes: requests are refused until it does';
  if (error instanceof StorageFailure)
    return 'the database cannot write (is its disk full?): requests are refused until it is back';
  if (error.code === 'API_UNAVAILABLE') return 'the database cannot be reached: requests are refused until it is back';
  return error.code === 'INTERNAL' ? 'the database refuses a statement' : undefined;
}

/**
 * The same database. The log says in one line a minute how it fails, and when it is back; `/readyz` knows it too. A full disk answers
 * `select 1` as ever: after a write that failed, only a write that succeeds shows that it is over.
 */
export function watchDatabase(db: Database, log: Logger, now: () => number = () => performance.now()): WatchedDatabase {
  const createWarn = (): Warn => warnOnceEvery(LOG_INTERVAL_MS, now);
  const warnOfStatement = createWarn();
  let warn = createWarn();
  let toldAt = Number.NEGATIVE_INFINITY;
  /** Whether the log last said that the database works again. */
  let isBack = false;
  let canWrite = true;
  /** Whether the log last said that the database cannot be reached. */
  let isAway = false;

  function observe(error: unknown): void {
    if (!(error instanceof GroupcastError)) return;
    const trouble = troubleOf(error);
    if (trouble === undefined) return;
    const isStorage = error instanceof StorageFailure;
    if (isStorage) canWrite = false;
    const code = rootCodeOf(error);
    const fields = { reason: reasonOf(error), code, database: db.kind };
    if (error.code === 'INTERNAL') {
      warnOfStatement(code, (suppressed) => log.error({ ...fields, suppressed }, trouble));
      return;
    }
    if (isBack && now() - toldAt >= NEW_OUTAGE_MS) warn = createWarn();
    warn(trouble, (suppressed) => {
      isBack = false;
      toldAt = now();
      if (!isStorage) isAway = true;
      log.error({ ...fields, suppressed }, trouble);
    });
  }

  function sayBack(what: string): void {
    isBack = true;
    log.info({ database: db.kind }, what);
  }

  async function watch<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      if (isAway) sayBack('the database answers again');
      isAway = false;
      return result;
    } catch (cause) {
      const error = fromStatementError(cause);
      observe(error);
      throw error;
    }
  }

  async function writeIfPermitted(): Promise<void> {
    try {
      await db.transaction(async (tx) => tx.query(WRITE_SOMETHING));
    } catch (error) {
      if (codeOf(error) !== NOT_PERMITTED) throw error;
    }
  }

  async function assertWritable(): Promise<void> {
    const { rows } = await db.query<{ reads_only: boolean }>(READS_ONLY);
    if (rows[0]?.reads_only) throw readOnlyFailure();
  }

  return {
    ...db,
    query: async (text, params) => watch(async () => db.query(text, params)),
    transaction: async (work, options) => watch(async () => db.transaction(work, options)),
    async check() {
      if (canWrite) {
        await watch(assertWritable);
        return;
      }
      await watch(writeIfPermitted);
      if (!canWrite) sayBack('the database can write again');
      canWrite = true;
    },
  };
}
