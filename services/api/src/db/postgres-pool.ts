import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import pg from 'pg';
import { codeOf, fromConnectError, isReadOnly, reasonOf, SilentConnection } from './database-errors.ts';
import {
  type Answer,
  connectionConfig,
  PostgresConnection,
  type PostgresTimes,
  type Statement,
} from './postgres-connection.ts';
import type { Session } from './session-settings.ts';

const POOL_SIZE = 10;
/** Shortest time between two replacements of all connections to a server that only reads, in milliseconds. */
const MOVE_INTERVAL_MS = 5_000;
/** SQLSTATEs that end a session, and those of a plan that was made for other tables. */
const ENDS_SESSION = /^(?:08...|57P..|25P0[34]|0A000)$/;

type Pooled = pg.PoolClient & PostgresConnection;

/** A connection that is lent for as long as `lend` runs. */
export interface Lent {
  readonly session: Session;
  /** The reason why no statement on it is answered any more. */
  readonly spoiled: Error | undefined;
  /** Throws what the driver throws, or `SilentConnection`. `statementMs`: longest that PostgreSQL works on it, by its own settings. */
  ask(statement: Statement, statementMs?: number): Promise<Answer>;
  /** Keeps the connection from being lent again. */
  spoil(reason: Error): void;
}

export interface PostgresPool {
  /** Throws `API_UNAVAILABLE` where no connection can be made, and otherwise what `work` throws. */
  lend<T>(work: (connection: Lent) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Connections that are thrown away as soon as they are known to be of no use.
 *
 * A silent connection is usually one of several, because something on the way has forgotten all of them. So every connection that has not
 * answered since the silent one was asked is replaced before it is lent again. Where a server only reads, its name may lead to another
 * one by now, while the connections stay where they are: they are replaced as well, now and then.
 */
export function createPostgresPool(url: string, times: PostgresTimes, log: Logger): PostgresPool {
  const warn = warnOnceEvery(60_000);
  // The pool hands all of this to its clients, which its types do not say.
  const Client = PostgresConnection as unknown as new () => PostgresConnection;
  const config: pg.PoolConfig = { ...connectionConfig(url, times), max: POOL_SIZE, Client };
  const pool = new pg.Pool(config);
  let silentSince = Number.NEGATIVE_INFINITY;
  let movedAt = Number.NEGATIVE_INFINITY;

  function say(error: unknown, what: string): void {
    warn(what, (suppressed) => log.warn({ reason: reasonOf(error), code: codeOf(error), suppressed }, what));
  }
  // Without a listener, an idle connection that the server drops ends the process.
  pool.on('error', (error) => say(error, 'an idle database connection was lost'));

  /** By callback: a promise of the pool's costs as much as the rest. */
  async function connect(): Promise<Pooled> {
    return new Promise((resolve, reject) => {
      pool.connect((error, connection) => (connection ? resolve(connection as Pooled) : reject(error)));
    });
  }

  async function take(): Promise<Pooled> {
    try {
      for (;;) {
        const connection = await connect();
        if (connection.heardAt >= silentSince && connection.openedAt >= movedAt) return connection;
        connection.cut();
        connection.release(true);
      }
    } catch (error) {
      throw fromConnectError(error);
    }
  }

  /** Whether this error ends the connection on which it has happened. */
  function isEnd(error: unknown, connection: PostgresConnection, askedAt: number): boolean {
    if (error instanceof SilentConnection) {
      silentSince = Math.max(silentSince, askedAt);
      say(error, 'a database connection has gone silent: others are opened instead');
      return true;
    }
    connection.heardAt = performance.now();
    if (!isReadOnly(error)) return ENDS_SESSION.test(codeOf(error));
    if (performance.now() - movedAt > MOVE_INTERVAL_MS) movedAt = performance.now();
    return connection.openedAt < movedAt;
  }

  /** Makes a new connection ready to be lent. */
  async function equip(connection: Pooled): Promise<Lent> {
    let spoiled: Error | undefined;
    const spoil = (reason: Error): void => {
      spoiled = reason;
    };
    // The pool listens while nobody has it: without a listener, a server that goes away would end the process.
    connection.on('error', spoil);
    try {
      const session = await connection.prepare(times);
      return {
        session,
        get spoiled() {
          return spoiled;
        },
        spoil,
        async ask(statement, statementMs = times.statementMs) {
          const askedAt = performance.now();
          try {
            return await connection.ask(statement, statementMs + times.answerMs);
          } catch (error) {
            if (isEnd(error, connection, askedAt)) spoil(error as Error);
            throw error;
          }
        },
      };
    } catch (error) {
      isEnd(error, connection, connection.openedAt);
      connection.release(error as Error);
      throw fromConnectError(error);
    }
  }

  const equipped = new WeakMap<PostgresConnection, Lent>();

  return {
    async lend(work) {
      const connection = await take();
      let lent = equipped.get(connection);
      if (!lent) {
        lent = await equip(connection);
        equipped.set(connection, lent);
      }
      try {
        return await work(lent);
      } finally {
        connection.release(lent.spoiled);
      }
    },
    close: async () => pool.end(),
  };
}
