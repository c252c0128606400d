import { type ErrorCode, GroupcastError } from '@groupcast/shared';

/** Codes of ours that a back end may refuse a connection with. Clients stay away after each of them. */
const CODES: ReadonlySet<unknown> = new Set<ErrorCode>([
  'TOKEN_MISSING',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'TOKEN_REVOKED',
  'FORBIDDEN',
]);
const MAX_TEXT_LENGTH = 200;

/** A page may show the text as it is: it has no markup and no control characters. */
function plain(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}<>&"'`]+/gu, ' ')
    .trim()
    .slice(0, MAX_TEXT_LENGTH);
}

/** The refusal that the client is told, of the back end's `error`: a text, or `{code, message}`. */
export function refusalOfConnect(error: unknown): GroupcastError {
  const { code, message } = (typeof error === 'string' ? { message: error } : (error ?? {})) as Record<string, unknown>;
  const text = typeof message === 'string' ? plain(message) : '';
  const known = CODES.has(code) ? (code as ErrorCode) : 'TOKEN_INVALID';
  return new GroupcastError(known, `unable to connect; ${text || 'the back end does not accept the sign-in'}`);
}
