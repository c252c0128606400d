/** Each code's HTTP status, and whether the same request may succeed later (`retryable`). */
export const ERROR_CODES = {
  TOKEN_MISSING: { status: 401, retryable: false },
  TOKEN_INVALID: { status: 401, retryable: false },
  TOKEN_EXPIRED: { status: 401, retryable: false },
  TOKEN_REVOKED: { status: 401, retryable: false },
  TOKEN_IN_QUERY: { status: 400, retryable: false },
  SERVICE_TOKEN_INVALID: { status: 401, retryable: false },
  ORIGIN_FORBIDDEN: { status: 403, retryable: false },
  HOST_FORBIDDEN: { status: 403, retryable: false },
  FORBIDDEN: { status: 403, retryable: false },
  FORBIDDEN_EVENT: { status: 403, retryable: false },
  NOT_A_MEMBER: { status: 403, retryable: false },
  UNSUPPORTED_PROTOCOL: { status: 400, retryable: false },
  UNKNOWN_SESSION: { status: 400, retryable: true },
  UNKNOWN_EVENT: { status: 400, retryable: false },
  INVALID_PAYLOAD: { status: 400, retryable: false },
  REQUEST_TIMEOUT: { status: 408, retryable: true },
  PAYLOAD_TOO_LARGE: { status: 413, retryable: false },
  RATE_LIMITED: { status: 429, retryable: true },
  GROUP_LIMIT: { status: 409, retryable: false },
  GROUP_FULL: { status: 409, retryable: false },
  TOO_MANY_CONNECTIONS: { status: 429, retryable: true },
  SLOW_CONSUMER: { status: 408, retryable: true },
  SERVER_DRAINING: { status: 503, retryable: true },
  API_UNAVAILABLE: { status: 503, retryable: true },
  RELAY_UNAVAILABLE: { status: 503, retryable: true },
  BROKER_UNAVAILABLE: { status: 503, retryable: true },
  NOT_FOUND: { status: 404, retryable: false },
  CONFLICT: { status: 409, retryable: false },
  POSITION_GAP: { status: 409, retryable: true },
  INTERNAL: { status: 500, retryable: true },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

export type ErrorCode = keyof typeof ERROR_CODES;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value);
}

/** An error as it travels: in acknowledgements, in `connect_error`'s `data` and in HTTP bodies. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  /** Shortest delay after which the same request may succeed, in milliseconds. */
  retryAfterMs?: number;
  /** Machine-readable facts, such as the `head` of a group's log, or which fields were wrong. */
  details?: Record<string, unknown>;
}

export interface ErrorOptions {
  cause?: unknown;
  retryAfterMs?: number;
  details?: Record<string, unknown>;
  /** Only where a peer already decided: by default the code decides. */
  retryable?: boolean;
}

/** Marks the errors of every copy of this package. */
const BRAND = Symbol.for('groupcast.GroupcastError');

/** The error of every expected failure. Messages follow one grammar: `unable to <do something>; <reason>`. */
export class GroupcastError extends Error {
  override readonly name: string = 'GroupcastError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Record<string, unknown> | undefined;

  static {
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /**
   * An application may load this package twice, as an ES module and as CommonJS, or in two versions. `instanceof` holds between the copies
   * all the same (docs/adr/0019).
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== GroupcastError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
  }

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }
}

/** The part of `error` that a caller may see: an expected failure as it is, anything else as `INTERNAL` without its text. */
export function toErrorBody(error: unknown): ErrorBody {
  if (error instanceof GroupcastError) return error.toBody();
  return new GroupcastError('INTERNAL', 'unable to complete the request; an internal error was logged').toBody();
}
