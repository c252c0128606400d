import { type ClientError, isLoginError } from '../errors.ts';

/** How a client goes on after an attempt to connect has failed. */
export interface FailureVerdict {
  /** `end`: no further attempt. `at once`: one without a delay, because the remedy may be all that was needed. */
  next: 'end' | 'at once' | 'later';
  /** A change for the attempts from now on. */
  remedy?: 'new token' | 'no positions';
}

/** A second token will be refused for these reasons as well. */
const FINAL_REFUSALS: readonly string[] = ['TOKEN_REVOKED', 'FORBIDDEN', 'TOKEN_IN_QUERY'];

/**
 * Decides what to do after `error`. A refusal of the user by the API is final; a connection token that the relay refuses is replaced
 * at once the first time. Where the relay refuses what the client says, that may be the positions in its handshake.
 */
export function judgeFailure(
  error: ClientError,
  by: 'api' | 'relay',
  /** Tokens that were refused since the last connection, and whether positions are left out already. */
  before: { tokenRefusals: number; withoutPositions: boolean },
): FailureVerdict {
  if (isLoginError(error)) {
    if (by === 'api') return { next: 'end' };
    const isFirst = before.tokenRefusals === 0;
    const isFinal = !isFirst && FINAL_REFUSALS.includes(error.code);
    return { next: isFinal ? 'end' : isFirst ? 'at once' : 'later', remedy: 'new token' };
  }
  const isPayload = error.code === 'INVALID_PAYLOAD';
  if (!isPayload && error.code !== 'GROUP_LIMIT') return { next: 'later' };
  if (!before.withoutPositions) return { next: 'at once', remedy: 'no positions' };
  return { next: isPayload ? 'end' : 'later' };
}
