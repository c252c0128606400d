import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, makeDataDirPrivate, StartFailure } from '@groupcast/service-kit';
import type { Database, Queryable, Row } from './database.ts';
import { codeOf, fromDatabaseError, StorageFailure } from './database-errors.ts';
import { type EmbeddedInstance, openInstance } from './embedded-instance.ts';
import { createEmptyDatabase } from './empty-database.ts';
import { lockFolder } from './folder-lock.ts';

type Driver = (text: string, params: unknown[]) => Promise<{ rows: unknown[]; affectedRows?: number }>;

/**
 * Bytes that have to be free on the disk for a statement that writes: two files of PostgreSQL's log, which are 16 MB in a folder that PostgreSQL
 * has made by itself. Running out of space while it writes that log ends PostgreSQL, and running out elsewhere only ends the statement.
 */
const RESERVE_BYTES = 32 * 1024 * 1024;
/** Shortest time between two attempts to open the database again, in milliseconds. Each blocks the process for up to a second. */
const REOPEN_INTERVAL_MS = 5_000;
/** Statements that write nothing: none of our functions that write is called by them. */
const READS = /^\s*(?:select|set)\b(?!.*\b(?:save_messages|settle_groups)\()/is;
/** SQLSTATE `insufficient_privilege`: we may do everything in this database, so it is a file that we may not write. */
const NOT_PERMITTED = '42501';

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function assertRoom(folder: string): void {
  const free = freeBytes(folder);
  if (free >= RESERVE_BYTES) return;
  const error = new Error(`the disk of ${folder} is full: ${free} bytes are free, ${RESERVE_BYTES} are needed`);
  throw new StorageFailure(Object.assign(error, { code: 'ENOSPC' }));
}

/**
 * PostgreSQL inside this process, in `<dataDir>/database`. Safe against a crashed process, not against a power cut: it
 * calls no fsync. One process at a time; a second one is refused.
 *
 * With little room left on the disk it goes on reading, and refuses to write. If PostgreSQL ends all the same (another program
 * took the rest, or the disk fails), everything is refused, and the folder is opened again as soon as it can be.
 */
export async function openEmbeddedDatabase(dataDir: string, log?: Logger): Promise<Database> {
  makeDataDirPrivate(dataDir);
  // PGlite creates files that everybody may read and write; the folder above keeps other users out.
  const folder = join(dataDir, 'database');
  const unlock = lockFolder(folder);
  let instance: EmbeddedInstance;
  try {
    assertRoom(folder);
    const problem = createEmptyDatabase(folder);
    if (problem) log?.warn({ err: problem }, 'unable to copy an empty database; making one, which takes longer');
    instance = await openInstance(folder);
  } catch (error) {
    unlock();
    if (!(error instanceof StorageFailure)) throw error;
    throw new StartFailure(`unable to open the embedded database; ${(error.cause as Error).message}`, { cause: error });
  }
  let queries = 0;
  let reopening: Promise<void> | undefined;
  let nextAttempt = 0;

  async function reopen(): Promise<void> {
    if (performance.now() < nextAttempt) throw new StorageFailure(instance.failure);
    nextAttempt = performance.now() + REOPEN_INTERVAL_MS;
    assertRoom(folder);
    instance.discard();
    try {
      instance = await openInstance(folder);
    } catch (error) {
      throw new StorageFailure(error);
    }
  }

  /** Runs `work` on the open instance. Its failures are translated into the errors that the rest of the service sees. */
  async function use<T>(work: (instance: EmbeddedInstance) => Promise<T>): Promise<T> {
    if (instance.failure !== undefined) {
      reopening ??= reopen().finally(() => {
        reopening = undefined;
      });
      await reopening;
    }
    const current = instance;
    try {
      return await work(current);
    } catch (error) {
      if (current.failure !== undefined || codeOf(error) === NOT_PERMITTED) throw new StorageFailure(error);
      throw fromDatabaseError(error);
    }
  }

  function wrap(driver: Driver): Queryable {
    return {
      async query<R extends Row>(text: string, params: readonly unknown[] = []) {
        queries += 1;
        if (!READS.test(text)) assertRoom(folder);
        try {
          const { rows, affectedRows } = await driver(text, [...params]);
          return { rows: rows as R[], count: rows.length || (affectedRows ?? 0) };
        } catch (error) {
          throw fromDatabaseError(error);
        }
      },
    };
  }

  return {
    kind: 'embedded',
    ...wrap(async (text, params) => use(async ({ statements }) => statements(text, params))),
    queryCount: () => queries,
    async script(sql) {
      await use(async ({ db }) => db.exec(sql));
    },
    async transaction(work) {
      return use(async ({ db, statements }) => db.transaction((tx) => work(wrap(statements.within(tx)))));
    },
    // There is no other process to hear of.
    listen: async () => Object.assign(async () => undefined, { hears: () => true }),
    notify: async () => undefined,
    async close() {
      await reopening?.catch(() => undefined);
      if (instance.failure === undefined) await instance.db.close();
      else instance.discard();
      unlock();
    },
  };
}
