import pg from 'pg';
import { SilentConnection } from './database-errors.ts';
import { createSettingsReader } from './postgres-url.ts';
import { prepareSession, type Session } from './session-settings.ts';

/** How long a connection has to end in order before it is cut, in milliseconds. A silent one never does. */
const GOODBYE_MS = 1_000;

const INT8_OID = pg.types.builtins.INT8;

/** int8 as a number, as the embedded database gives it: cursors stay far below 2^53. */
const types = {
  getTypeParser: ((oid: typeof INT8_OID, format: 'text') =>
    oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Bounds of waiting, in milliseconds. */
export interface PostgresTimes {
  /** Longest until a new connection may be used. */
  connectMs: number;
  /** Longest that PostgreSQL works on a statement. */
  statementMs: number;
  /** Longest that its answer may take after that. */
  answerMs: number;
  /** How often a listening connection is asked whether it still works, since it says nothing by itself. */
  checkMs: number;
  /** How long it takes until listening is tried again where no notifications came through. */
  deafMs: number;
}

export interface Statement {
  text: string;
  name?: string;
  values?: unknown[];
}

export interface Answer {
  rows: unknown[];
  rowCount: number | null;
}

export interface ConnectionConfig extends pg.ClientConfig {
  readSettings: () => pg.ClientConfig;
}

/**
 * The driver's configuration for a URL. It contains no start-up parameter that a pooler would refuse: our statements depend on settings of
 * the session instead. Throws where the URL cannot be read.
 */
export function connectionConfig(url: string, { connectMs }: PostgresTimes): ConnectionConfig {
  return { readSettings: createSettingsReader(url), connectionTimeoutMillis: connectMs, types };
}

/** The place of the database of a URL, for the log: neither user nor password, and the driver's defaults where the URL names none. */
export function placeOfDatabase(url: string): { host: string; port: number; database: string | undefined } {
  const { host, port, database } = new pg.Client(createSettingsReader(url)());
  return { host, port, database };
}

/** A connection on which every wait has a deadline. Its times are those of `performance.now()`. */
export class PostgresConnection extends pg.Client {
  readonly openedAt: number = performance.now();
  /** When it last answered. */
  heardAt: number = this.openedAt;
  session: Session | undefined;

  constructor({ readSettings, ...config }: ConnectionConfig) {
    super({ ...readSettings(), ...config });
    // Without a listener, a server that ends the connection as soon as it has greeted, before anybody else listens, would end the process.
    this.on('error', () => undefined);
  }

  /**
   * Throws what the driver throws, or `SilentConnection` when no answer has come in time: nothing that is asked here afterwards is answered
   * either. A process that was held up reads what has come meanwhile before it gives up.
   */
  async ask(statement: Statement, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let grace: NodeJS.Immediate | undefined;
      const timer = setTimeout(() => {
        grace = setImmediate(() => reject(new SilentConnection(timeoutMs)));
      }, timeoutMs);
      this.query(statement, (error: Error | null, answer: Answer) => {
        clearTimeout(timer);
        clearImmediate(grace);
        if (error) {
          reject(error);
          return;
        }
        this.heardAt = performance.now();
        resolve(answer);
      });
    });
  }

  /** Prepares the session before anything else is asked: sets what our statements depend on, or finds out how to. */
  async prepare({ connectMs, statementMs }: PostgresTimes): Promise<Session> {
    const { processID } = this as unknown as { processID: number | null };
    const preparation = prepareSession(processID ?? 0, statementMs);
    const { rows } = await this.ask(preparation.statement, connectMs);
    this.session = preparation.read(rows);
    return this.session;
  }

  /** Ends the connection at once, without waiting for what is under way. */
  cut(): void {
    this.connection.stream.destroy();
  }

  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | void {
    const timer = setTimeout(() => this.cut(), GOODBYE_MS).unref();
    this.connection.once('end', () => clearTimeout(timer));
    return callback ? super.end(callback) : super.end();
  }
}
