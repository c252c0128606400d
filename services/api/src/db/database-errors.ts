import { GroupcastError } from '@groupcast/shared';

/** Classes and codes of SQLSTATE, and Node's socket errors, that mean "not reachable now": this process may have no descriptor for it. */
const CONNECTION_FAILURE =
  /^(?:08...|57P0[1-4]|53300|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EAI_AGAIN|EMFILE|ENFILE)$/;
/**
 * Well-formed input that PostgreSQL cannot take: NUL and broken surrogates, numbers and times out of range, time zones that are none.
 * Schemas refuse such values first; this is for those that get past them.
 */
const UNSTORABLE_VALUE = /^(?:22P0[2-5]|22021|22003|2200[789]|22023)$/;

/** The driver's error as the rest of the service should see it. */
export function fromDatabaseError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof GroupcastError) return error;
  const code = (error as Error & { code?: string }).code ?? '';
  if (
    CONNECTION_FAILURE.test(code) ||
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
