import type { Logger } from '@groupcast/service-kit';
import pg from 'pg';
import type { Database, Queryable, Row } from './database.ts';
import { fromDatabaseError } from './database-errors.ts';

const POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const LISTEN_RETRY_MS = 1_000;

const INT8_OID = pg.types.builtins.INT8;

/** int8 as a number, as the embedded database gives it: cursors stay far below 2^53. */
const types = {
  getTypeParser: ((oid: typeof INT8_OID, format: 'text') =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

interface Driver {
  query(statement: { text: string; name?: string; values?: unknown[] }): Promise<{
    rows: unknown[];
    rowCount: number | null;
  }>;
}

/** With parameters a statement gets the name under which each connection prepares it once. The code has a bounded number of them. */
function createStatements(): (text: string, params: readonly unknown[]) => Parameters<Driver['query']>[0] {
  const names = new Map<string, string>();
  return (text, params) => {
    if (params.length === 0) return { text };
    const name = names.get(text) ?? `groupcast-${names.size}`;
    names.set(text, name);
    return { text, name, values: [...params] };
  };
}

function wrap(
  driver: Driver,
  statement: ReturnType<typeof createStatements>,
  onQuery: () => void = () => undefined,
): Queryable {
  return {
    async query<R extends Row>(text: string, params: readonly unknown[] = []) {
      onQuery();
      try {
        const { rows, rowCount } = await driver.query(statement(text, params));
        return { rows: rows as R[], count: rowCount ?? 0 };
      } catch (error) {
        throw fromDatabaseError(error);
      }
    },
  };
}

export function openPostgresDatabase(url: string, log: Logger): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    types,
  });
  // Without a listener, an idle client that the server drops ends the process.
  pool.on('error', (error) => log.warn({ err: error }, 'an idle database connection was lost'));

  const statement = createStatements();
  let queries = 0;
  const count = (): void => {
    queries += 1;
  };
  return {
    kind: 'postgres',
    ...wrap(pool, statement, count),
    queryCount: () => queries,
    async script(sql) {
      await pool.query(sql);
    },
    async transaction(work) {
      const client = await pool.connect().catch((error: unknown) => {
        throw fromDatabaseError(error);
      });
      let broken: Error | undefined;
      // While a client is checked out the pool does not listen: a server that goes away would end the process.
      const onError = (error: Error): void => {
        broken = error;
      };
      client.on('error', onError);
      try {
        const control = wrap(client, statement);
        await control.query('begin');
        const result = await work(wrap(client, statement, count));
        await control.query('commit');
        return result;
      } catch (error) {
        await client.query('rollback').catch((failure: Error) => {
          broken = failure;
        });
        throw error;
      } finally {
        client.off('error', onError);
        client.release(broken);
      }
    },
    async notify(channel, payload) {
      await pool.query('select pg_notify($1, $2)', [channel, payload]);
    },
    async listen(channel, onNotify, onReset) {
      let client: pg.Client | undefined;
      let timer: NodeJS.Timeout | undefined;
      let stopped = false;

      async function connect(): Promise<void> {
        const fresh = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
        const lost = (): void => {
          if (client === fresh) client = undefined;
          if (!stopped) timer ??= setTimeout(reconnect, LISTEN_RETRY_MS);
        };
        fresh.on('error', (error) => log.warn({ err: error, channel }, 'the notification connection was lost'));
        fresh.on('end', lost);
        fresh.on('notification', (message) => onNotify(message.payload ?? ''));
        try {
          await fresh.connect();
          await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
          client = fresh;
          onReset();
        } catch (error) {
          log.warn({ err: error, channel }, 'unable to listen for notifications; trying again');
          fresh.end().catch(() => undefined);
          lost();
        }
      }
      function reconnect(): void {
        timer = undefined;
        if (!stopped) void connect();
      }

      await connect();
      return async () => {
        stopped = true;
        clearTimeout(timer);
        await client?.end().catch(() => undefined);
      };
    },
    async close() {
      await pool.end();
    },
  };
}
