import type { ErrorBody, ErrorCode } from '@groupcast/shared';
import { MAX_DELAY_MS } from './environment.ts';

/**
 * - `UNREACHABLE`: no answer at all; retryable.
 * - `CLOSED`: the client was closed.
 * - `TOKEN_UNAVAILABLE`: `getToken` threw; retryable.
 */
export type ClientErrorCode = ErrorCode | 'UNREACHABLE' | 'CLOSED' | 'TOKEN_UNAVAILABLE';

/** Marks the errors of every copy of this package. */
const BRAND = Symbol.for('groupcast.ClientError');

/** The error of every rejection. `code` is for programs and `message` for people; `cause` is the original error. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** Shortest delay after which trying again may succeed, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  static {
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /** `instanceof` holds between the copies of this package that an application has loaded, as ES module and as CommonJS (docs/adr/0019). */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== ClientError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
  }

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

/** There is no answer at all; the same call may succeed later. */
export function unreachable(message: string, cause?: unknown): ClientError {
  return new ClientError('UNREACHABLE', message, { retryable: true, cause });
}

/** An error as the API or the relay sent it. A code that this version does not know is passed on, because the server names the codes. */
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

/** Whether the user's own token was refused: trying again changes nothing until the application has another one. */
export function isLoginError(error: ClientError): boolean {
  return (
    !error.retryable &&
    error.code !== 'TOKEN_UNAVAILABLE' &&
    /^(?:TOKEN_|FORBIDDEN$|SERVICE_TOKEN_INVALID$)/.test(error.code)
  );
}
