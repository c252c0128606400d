import { GroupcastError } from '@groupcast/shared';

/** Classes and codes of SQLSTATE, and Node's socket errors, that mean "not reachable now": this process may have no descriptor for it. */
const CONNECTION_FAILURE =
  /^(?:08...|57P0[1-4]|53300|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EAI_AGAIN|EMFILE|ENFILE)$/;
/** NUL, broken surrogates, times that are none: well-formed input that PostgreSQL cannot take. */
const UNSTORABLE_TEXT = /^(?:22P05|22021|22P02|22007|22008)$/;

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
  if (UNSTORABLE_TEXT.test(code)) {
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
