import { type ErrorBody, GroupcastError, isErrorCode } from '@groupcast/shared/publisher';

/** The relay's error as ours; a code that this version does not know becomes `INTERNAL`, and keeps its text. */
export function fromBody(body: Partial<ErrorBody> | undefined): GroupcastError {
  const code = isErrorCode(body?.code) ? body.code : 'INTERNAL';
  return new GroupcastError(code, body?.message ?? 'unable to read the answer of the relay', {
    ...(body?.retryable === undefined ? {} : { retryable: body.retryable }),
    ...(body?.retryAfterMs === undefined ? {} : { retryAfterMs: body.retryAfterMs }),
    ...(body?.details === undefined ? {} : { details: body.details }),
  });
}

/** The error of a call that failed because the relay takes none of this back end. */
export function refusedBackEnd(call: string, url: string, refusal: GroupcastError): GroupcastError {
  const why = `the relay at ${url} refuses this back end: ${refusal.message}`;
  return new GroupcastError(refusal.code, `unable to send ${call}; ${why}`, {
    retryable: refusal.retryable,
    cause: refusal,
  });
}

export function tooManyWaiting(call: string, waiting: number): GroupcastError {
  return new GroupcastError('RELAY_UNAVAILABLE', `unable to send ${call}; ${waiting} calls are already waiting`);
}

export function isClosed(call: string): GroupcastError {
  return new GroupcastError('RELAY_UNAVAILABLE', `unable to send ${call}; the broadcaster is closed`, {
    retryable: false,
  });
}

export function wasClosed(call: string): GroupcastError {
  return new GroupcastError('RELAY_UNAVAILABLE', `unable to finish ${call}; the broadcaster was closed`);
}

/** Neither its text nor a cause shows the token. */
export function isNoToken(call: string): GroupcastError {
  const why = 'the service token is empty, or has characters that no token has: check the tokenProvider';
  return new GroupcastError('SERVICE_TOKEN_INVALID', `unable to send ${call}; ${why}`);
}

export function isNoJson(call: string, cause: unknown): GroupcastError {
  return new GroupcastError('INVALID_PAYLOAD', `unable to send ${call}; it is no plain JSON`, { cause });
}
