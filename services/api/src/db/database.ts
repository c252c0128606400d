export type Row = Record<string, unknown>;

export interface QueryResult<R> {
  rows: R[];
  /** Rows returned or, where the statement returns none, rows changed. */
  count: number;
}

/** Rows come typed by the caller: `int8` as number, `timestamptz` as Date, `jsonb` parsed, on both backends. */
export interface Queryable {
  query<R extends Row = Row>(text: string, params?: readonly unknown[]): Promise<QueryResult<R>>;
}

export interface TransactionOptions {
  /** Longest that PostgreSQL works on one statement, in milliseconds, where the usual seconds are too few. */
  statementMs?: number;
}

/** Ends the listening when it is called. */
export interface Listening {
  (): Promise<void>;
  /** Whether notifications come through at present. */
  hears(): boolean;
}

/**
 * PostgreSQL, real or embedded. A failure of the connection, of the server or of its disk throws `API_UNAVAILABLE` (retryable), text
 * that PostgreSQL cannot store throws `INVALID_PAYLOAD`, everything else the driver's own error. An answer that does not come within some
 * seconds is a failure too.
 */
export interface Database extends Queryable {
  readonly kind: 'embedded' | 'postgres';
  /** Commits when `work` resolves, rolls back when it throws. */
  transaction<T>(work: (tx: Queryable) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Runs several statements without parameters. */
  script(sql: string): Promise<void>;
  /**
   * Calls `onNotify` for each NOTIFY on the channel, and `onReset` whenever some may have been missed. On the embedded
   * database, which has a single process, it does nothing; through a pooler that passes no notifications on, none arrive.
   */
  listen(channel: string, onNotify: (payload: string) => void, onReset: () => void): Promise<Listening>;
  /** Sends a notification for each payload, in one transaction, which does not wait for the disk. */
  notify(channel: string, payloads: readonly string[]): Promise<void>;
  /** Whether a pooler is between this process and PostgreSQL. The embedded database has none. */
  isPooled?: () => Promise<boolean>;
  /** Statements sent so far, transactions' own included, `begin` and `commit` not. */
  queryCount(): number;
  close(): Promise<void>;
}

/** Runs `work` in one snapshot: everything that it reads is of the same moment. */
export async function snapshot<T>(db: Database, work: (tx: Queryable) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.query('set transaction isolation level repeatable read, read only');
    return work(tx);
  });
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && (error as Error & { code?: string }).code === '23505';
}
