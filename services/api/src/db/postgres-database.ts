import type { Logger } from '@groupcast/service-kit';
import type { Database, QueryResult, Row } from './database.ts';
import { codeOf, fromDatabaseError, StorageFailure } from './database-errors.ts';
import { type Answer, connectionConfig, type PostgresTimes } from './postgres-connection.ts';
import { listenOnPostgres } from './postgres-listener.ts';
import { createPostgresPool, type Lent } from './postgres-pool.ts';
import { createStatementNames } from './statement-names.ts';

/** A statement and its answer together take less than a lease of the outbox, so that an unanswered one can be sent again within it. */
const TIMES: PostgresTimes = { connectMs: 3_000, statementMs: 4_000, answerMs: 1_000, checkMs: 5_000, deafMs: 300_000 };
/** SQLSTATE `feature_not_supported`: how a standby refuses to begin a transaction that writes. */
const NOT_SUPPORTED = '0A000';

export interface PostgresOptions {
  /** The URL to listen on for notifications, if not that of the database: past a pooler that passes none on. */
  listenUrl?: string | undefined;
  /** Whether statements are prepared; by default they are, unless a pooler is in between. */
  preparedStatements?: boolean | undefined;
  times?: Partial<PostgresTimes>;
}

function toResult<R extends Row>({ rows, rowCount }: Answer): QueryResult<R> {
  return { rows: rows as R[], count: rowCount ?? 0 };
}

async function translated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fromDatabaseError(error);
  }
}

const NOTIFY = `select set_config('synchronous_commit', 'off', true), pg_notify($1, payload)
  from unnest($2::text[]) as payload`;

/** Real PostgreSQL, directly or through a pooler that has a connection for each session, or for each transaction. */
export function openPostgresDatabase(url: string, log: Logger, options: PostgresOptions = {}): Database {
  const times = { ...TIMES, ...options.times };
  const pool = createPostgresPool(url, times, log);
  const names = createStatementNames(options.preparedStatements, () =>
    log.warn('a pooler in between keeps no prepared statements: set DATABASE_PREPARED_STATEMENTS=0; going on without'),
  );
  const listening = connectionConfig(options.listenUrl ?? url, times);
  let queries = 0;

  async function begin(connection: Lent, statementMs: number | undefined): Promise<void> {
    const patience = statementMs === undefined ? '' : `; set local statement_timeout = ${statementMs}`;
    try {
      await connection.ask({ text: `${connection.session.begin}${patience}` });
    } catch (error) {
      throw codeOf(error) === NOT_SUPPORTED ? new StorageFailure(error) : fromDatabaseError(error);
    }
  }

  async function inTransaction<T>(
    connection: Lent,
    statementMs: number | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      await begin(connection, statementMs);
      const result = await work();
      await translated(connection.ask({ text: 'commit' }, statementMs));
      return result;
    } catch (error) {
      if (!connection.spoiled)
        await connection.ask({ text: 'rollback' }).catch((reason: Error) => connection.spoil(reason));
      throw error;
    }
  }

  /** Runs a single statement, in a transaction where it needs one. */
  async function askAlone(connection: Lent, text: string, params: readonly unknown[]): Promise<Answer> {
    const { session } = connection;
    const ask = async (): Promise<Answer> => connection.ask(names.statement(session, text, params));
    return session.needsTransaction ? inTransaction(connection, undefined, ask) : ask();
  }

  async function run(text: string, params: readonly unknown[]): Promise<Answer> {
    try {
      return await pool.lend(async (connection) => {
        try {
          return await askAlone(connection, text, params);
        } catch (error) {
          // Nothing has been done: the statement was not found by its name.
          if (names.lose(codeOf(error))) return askAlone(connection, text, params);
          throw error;
        }
      });
    } catch (error) {
      throw fromDatabaseError(error);
    }
  }

  return {
    kind: 'postgres',
    async query<R extends Row>(text: string, params: readonly unknown[] = []) {
      queries += 1;
      return toResult<R>(await run(text, params));
    },
    isPooled: async () => pool.lend(async ({ session }) => session.isPooled),
    queryCount: () => queries,
    async script(sql) {
      await translated(pool.lend(async (connection) => connection.ask({ text: sql })));
    },
    async transaction(work, { statementMs } = {}) {
      return pool.lend(async (connection) =>
        inTransaction(connection, statementMs, async () =>
          work({
            async query<R extends Row>(text: string, params: readonly unknown[] = []) {
              queries += 1;
              const asked = connection.ask(names.statement(connection.session, text, params), statementMs);
              asked.catch((error: unknown) => names.lose(codeOf(error)));
              return toResult<R>(await translated(asked));
            },
          }),
        ),
      );
    },
    async notify(channel, payloads) {
      await run(NOTIFY, [channel, [...payloads]]);
    },
    async listen(channel, onNotify, onReset) {
      const notify = async (to: string): Promise<unknown> => run(NOTIFY, [to, ['']]);
      const deps = { config: listening, times, log, notify };
      return listenOnPostgres(deps, channel, { onNotify, onReset });
    },
    close: () => pool.close(),
  };
}
