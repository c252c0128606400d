import { setFlagsFromString } from 'node:v8';
import { PGlite } from '@electric-sql/pglite';
import { prepareStatements } from './prepared-statements.ts';

/** One PostgreSQL in this process. After a `failure` it answers nothing any more; the folder can be opened again. */
export interface EmbeddedInstance {
  readonly db: PGlite;
  readonly statements: ReturnType<typeof prepareStatements>;
  /** The error that ended it, if any. */
  readonly failure: unknown;
  /** Gives up the files of an instance that failed. Nothing is written. */
  discard(): void;
}

/** Internals of PGlite that its types do not name. A test that fills a disk fails when they change. */
interface Inside {
  _PostgresMainLoopOnce: () => void;
  stackRestore: (pointer: number) => void;
  FS: { streams: ({ fd: number } | null | undefined)[]; close: (stream: unknown) => void };
}

function closeFiles(db: PGlite): void {
  const { FS } = (db.Module ?? {}) as unknown as Partial<Inside>;
  for (const stream of FS?.streams ?? []) {
    try {
      if (stream) FS?.close(stream);
    } catch {
      // A pipe of its own, or closed already.
    }
  }
}

/**
 * A PANIC of PostgreSQL (it could not write its log) ends its main loop for good, and PGlite, which takes every exception but one for
 * "done", calls the loop again and again: the process hangs, at full speed. So the first other exception is kept, and thrown from
 * where PGlite cannot swallow it.
 */
function watchMainLoop(db: PGlite): { failure: unknown } {
  const watch: { failure: unknown } = { failure: undefined };
  const inside = db.Module as unknown as Inside;
  const { POSTGRES_MAIN_LONGJMP: goesOn } = db as unknown as { POSTGRES_MAIN_LONGJMP: number };
  const { _PostgresMainLoopOnce: runOnce, stackRestore } = inside;
  inside._PostgresMainLoopOnce = () => {
    if (watch.failure !== undefined) throw watch.failure;
    try {
      runOnce();
    } catch (error) {
      if ((error as { status?: unknown }).status !== goesOn) watch.failure = error;
      throw error;
    }
  };
  inside.stackRestore = (pointer) => {
    if (watch.failure !== undefined) throw watch.failure;
    stackRestore(pointer);
  };
  return watch;
}

/**
 * V8 compiles WebAssembly twice: fast at first, and again, for faster code, what runs often. PostgreSQL is large, and most of its functions
 * run now and then, so the second time costs each start a second of CPU and about 100 MB. Requests take as long as before; a statement
 * that scans thousands of rows takes up to twice as long. These flags hold for the modules that are compiled from here on. (`--liftoff-only`
 * does the same, and ends the process on a CPU without SSE4.1.)
 */
function compileOnce(): void {
  setFlagsFromString('--no-wasm-tier-up');
  setFlagsFromString('--no-wasm-dynamic-tiering');
}

/**
 * PostgreSQL's default cache is 128 MB, which this process would hold from its start on; and of the files that it has opened it keeps a thousand
 * open, until there is no descriptor left for a connection.
 */
const BOUNDS = ['-c', 'shared_buffers=32MB', '-c', 'max_files_per_process=100'];

/** Rejects when PostgreSQL does not start, with its files closed. */
export async function openInstance(folder: string): Promise<EmbeddedInstance> {
  compileOnce();
  const db = new PGlite(folder, { startParams: [...PGlite.defaultStartParams, ...BOUNDS] });
  try {
    await db.waitReady;
  } catch (error) {
    closeFiles(db);
    throw error;
  }
  const watch = watchMainLoop(db);
  return {
    db,
    statements: prepareStatements(db),
    get failure() {
      return watch.failure;
    },
    discard: () => closeFiles(db),
  };
}
