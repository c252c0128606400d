import { GroupcastError } from '@groupcast/shared';

/**
 * Well-formed input that PostgreSQL cannot take: NUL and broken surrogates, numbers and times out of range, time zones that are none.
 * Schemas refuse such values first; this is for those that get past them.
 */
const UNSTORABLE_VALUE = /^(?:22P0[2-5]|22021|22003|2200[789]|22023)$/;
/** How long a client should wait that was refused because the disk does not work, in milliseconds. */
const RETRY_AFTER_MS = 5_000;

/**
 * Classes and codes of SQLSTATE, and Node's socket errors, that mean "not reachable now" (this process may have no descriptor for it), or
 * "too busy": the same again may succeed. A statement that a pooler does not find by its name was not begun; a login that is refused is a
 * password that is being changed.
 */
const OUT_OF_REACH =
  /^(?:08...|28...|57...|53[0235-9]..|25P0[34]|26000|3D000|40001|40P01|42P05|55P03|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EAI_AGAIN|EMFILE|ENFILE)$/;
const CONNECTION_LOST = /connection terminated|connection error|not queryable|timeout exceeded when trying to connect/i;
/** SQLSTATE `read_only_sql_transaction`. */
const READ_ONLY = '25006';
/** A disk that is full, fails or is read-only, a server that only reads (a standby), and faults inside of PostgreSQL. */
const OUT_OF_ORDER = /^(?:53100|58...|XX...|F0...|25006|ENOSPC|EDQUOT|EFBIG|EROFS|EIO)$/;

/** The database answers, or did until now, and cannot store anything. It may be so for long: the API is not ready meanwhile. */
export class StorageFailure extends GroupcastError {
  constructor(cause: unknown) {
    super('API_UNAVAILABLE', 'unable to serve the request; the database cannot write now', {
      cause,
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
}

/** No answer came in time. The connection it was expected on is of no use any more. */
export class SilentConnection extends Error {
  override readonly name = 'SilentConnection';
  readonly code = 'ETIMEDOUT';

  constructor(timeoutMs: number) {
    super(`the database has not answered within ${timeoutMs} ms`);
  }
}

export function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
}

/** What happened, in one line for the log: where this is known, what the driver said. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof GroupcastError && error.cause instanceof Error) return reasonOf(error.cause);
  // Both addresses of a name may have been tried.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error.message;
}

/** For the log: one line where the failure is expected, and all that is known of one that is not. */
export function describeFailure(error: unknown): object {
  return error instanceof GroupcastError
    ? { reason: reasonOf(error), code: rootCodeOf(error) || error.code }
    : { err: error };
}

/** The SQLSTATE, or Node's code, behind an error of ours as well. */
export function rootCodeOf(error: unknown): string {
  return error instanceof GroupcastError ? codeOf(error.cause) : codeOf(error);
}

export function isReadOnly(error: unknown): boolean {
  return rootCodeOf(error) === READ_ONLY;
}

/** As a statement that writes would have failed. */
export function readOnlyFailure(): StorageFailure {
  return new StorageFailure(Object.assign(new Error('the database takes no writes'), { code: READ_ONLY }));
}

function unreachable(cause: Error): GroupcastError {
  return new GroupcastError('API_UNAVAILABLE', 'unable to serve the request; the database cannot be reached', {
    cause,
  });
}

/** Why there is no connection, as the rest of the service should see it. */
export function fromConnectError(error: unknown): unknown {
  const known = fromDatabaseError(error);
  return known instanceof Error && !(known instanceof GroupcastError) ? unreachable(known) : known;
}

/** The driver's error as the rest of the service should see it. */
export function fromDatabaseError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof GroupcastError) return error;
  const code = codeOf(error);
  if (OUT_OF_ORDER.test(code)) return new StorageFailure(error);
  if (OUT_OF_REACH.test(code) || CONNECTION_LOST.test(error.message)) return unreachable(error);
  if (UNSTORABLE_VALUE.test(code)) {
    return new GroupcastError(
      'INVALID_PAYLOAD',
      'unable to accept the request; it holds a value that cannot be stored',
      {
        cause: error,
      },
    );
  }
  return error;
}

/** SQLSTATE class of violated constraints (keys, columns that must not be null): the caller knows what to do about them. */
const OF_CONSTRAINT = /^23...$/;

/** What the service does not expect of a statement, as an error without the driver's words: a right that was taken, a table that is gone. */
export function fromStatementError(error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof GroupcastError || !/^[0-9A-Z]{5}$/.test(code) || OF_CONSTRAINT.test(code)) return error;
  return new GroupcastError('INTERNAL', 'unable to complete the request; an internal error was logged', {
    cause: error,
  });
}
