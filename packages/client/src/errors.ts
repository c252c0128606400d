import type { ErrorBody, ErrorCode } from '@groupcast/shared';
import { MAX_DELAY_MS } from './environment.ts';

/**
 * - `UNREACHABLE`: no answer at all; retryable.
 * - `CLOSED`: the client was closed.
 * - `TOKEN_UNAVAILABLE`: `getToken` threw; retryable.
 */
export type ClientErrorCode = ErrorCode | 'UNREACHABLE' | 'CLOSED' | 'TOKEN_UNAVAILABLE';

/** Everything the client rejects with. `code` is for programs, `message` for people, what lies behind it in `cause`. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  /** The same again may succeed. */
  readonly retryable: boolean;
  /** Milliseconds to wait before it is worth trying again. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { retryable?: boolean; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** An error as the API or the relay sent it. A code that this version does not know passes through: it is the server's to name. */
export function fromBody(body: unknown, fallback: { message: string; retryable: boolean }): ClientError {
  const { code, message, retryable, retryAfterMs } = (body ?? {}) as Partial<ErrorBody>;
  if (typeof code !== 'string') return new ClientError('INTERNAL', fallback.message, fallback);
  return new ClientError(code, typeof message === 'string' ? message : fallback.message, {
    retryable: retryable ?? fallback.retryable,
    retryAfterMs:
      typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? Math.min(retryAfterMs, MAX_DELAY_MS) : undefined,
  });
}

export function toClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ClientError('INTERNAL', message, { cause: error });
}

/** The user's own token is what is wrong: asking again changes nothing until the application has another one. */
export function isLoginError(error: ClientError): boolean {
  return (
    !error.retryable &&
    error.code !== 'TOKEN_UNAVAILABLE' &&
    /^(?:TOKEN_|FORBIDDEN$|SERVICE_TOKEN_INVALID$)/.test(error.code)
  );
}
