import { GroupcastError } from '@groupcast/shared';

/**
 * Well-formed input that PostgreSQL cannot take: NUL and broken surrogates, numbers and times out of range, time zones that are none.
 * Schemas refuse such values first; this is for those that get past them.
 */
const UNSTORABLE_VALUE = /^(?:22P0[2-5]|22021|22003|2200[789]|22023)$/;
/** How long whoever was refused for want of a working disk should wait. */
const RETRY_AFTER_MS = 5_000;

/** Classes and codes of SQLSTATE, and Node's socket errors, that mean "not reachable now" (this process may have no descriptor for it), or "too busy". */
const OUT_OF_REACH =
  /^(?:08...|57...|53[0235-9]..|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EAI_AGAIN|EMFILE|ENFILE)$/;
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

export function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
}

/** The driver's error as the rest of the service should see it. */
export function fromDatabaseError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof GroupcastError) return error;
  const code = codeOf(error);
  if (OUT_OF_ORDER.test(code)) return new StorageFailure(error);
  if (
    OUT_OF_REACH.test(code) ||
    /connection terminated|connection error|timeout exceeded when trying to connect/i.test(error.message)
  ) {
    return new GroupcastError('API_UNAVAILABLE', 'unable to serve the request; the database cannot be reached', {
      cause: error,
    });
  }
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
