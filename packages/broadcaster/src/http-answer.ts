import { BodyTooLarge, type ByteStream, readBytes } from '@groupcast/shared/bounded-body';
import { type ErrorBody, type ErrorCode, GroupcastError } from '@groupcast/shared/publisher';
import type { RelayCall } from './publisher.ts';
import { fromBody, refusedBackEnd } from './relay-error.ts';

/** The part of a `Response` that is read. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: ByteStream | null;
}

/** Largest answer that is read, in bytes: to a batch that expects as many users as fit, it is some 15 MB. */
const MAX_ANSWER_BYTES = 16_777_216;
/** Longest delay that a timer takes, in milliseconds. */
const MAX_DELAY_MS = 2_147_483_647;
/** Codes of answers that are not the relay's own, such as those of a proxy. Every other one is `RELAY_UNAVAILABLE`. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  413: 'PAYLOAD_TOO_LARGE',
  414: 'PAYLOAD_TOO_LARGE',
  429: 'RATE_LIMITED',
  431: 'PAYLOAD_TOO_LARGE',
};
/** The codes with which a relay refuses a back end, whatever it asks for. */
const REFUSALS: ReadonlySet<string> = new Set([
  'SERVICE_TOKEN_INVALID',
  'FORBIDDEN',
  'ORIGIN_FORBIDDEN',
  'HOST_FORBIDDEN',
] satisfies ErrorCode[]);

/** `Retry-After` in milliseconds. One that is a date counts as none: it depends on two clocks. */
function retryAfterOf({ headers }: HttpAnswer): { retryAfterMs?: number } {
  const seconds = headers.get('retry-after') ?? '';
  return /^\d{1,9}$/.test(seconds) ? { retryAfterMs: Math.min(Number(seconds) * 1_000, MAX_DELAY_MS) } : {};
}

/** The error of an answer. Anybody may have answered, so that each field is what its type says, or is left out. */
function errorIn(body: unknown): Partial<ErrorBody> | undefined {
  const given = (body as { error?: unknown } | null | undefined)?.error as Record<string, unknown> | null | undefined;
  if (typeof given?.['code'] !== 'string') return undefined;
  const { code, message, retryable, retryAfterMs, details } = given;
  return {
    // A code that this version does not know is left to `fromBody`.
    code: code as ErrorCode,
    ...(typeof message === 'string' ? { message } : {}),
    ...(typeof retryable === 'boolean' ? { retryable } : {}),
    ...(typeof retryAfterMs === 'number' && retryAfterMs >= 0
      ? { retryAfterMs: Math.min(retryAfterMs, MAX_DELAY_MS) }
      : {}),
    ...(typeof details === 'object' && details !== null ? { details: details as Record<string, unknown> } : {}),
  };
}

function strange(call: RelayCall, url: string, answer: HttpAnswer): GroupcastError {
  const { status } = answer;
  const instead = status === 0 || (status >= 300 && status < 400) ? 'a redirect' : `HTTP ${status}`;
  return new GroupcastError(
    CODES[status] ?? 'RELAY_UNAVAILABLE',
    `unable to send ${call}; the relay at ${url} cannot be reached (${instead}, and no answer of a relay)`,
    retryAfterOf(answer),
  );
}

/** Resolves to what the relay answered, without its `ok`; rejects with the relay's error. */
export async function readAnswer<T>(call: RelayCall, url: string, answer: HttpAnswer): Promise<T> {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(await readBytes(answer.body, MAX_ANSWER_BYTES)));
  } catch (cause) {
    if (cause instanceof BodyTooLarge) {
      const why = `the answer is larger than ${MAX_ANSWER_BYTES} bytes`;
      throw new GroupcastError('PAYLOAD_TOO_LARGE', `unable to read the answer to ${call}; ${why}`, { cause });
    }
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  const refusal = errorIn(body);
  if (refusal) {
    const error = fromBody({ ...retryAfterOf(answer), ...refusal });
    throw REFUSALS.has(error.code) ? refusedBackEnd(call, url, error) : error;
  }
  if ((body as { ok?: unknown } | null | undefined)?.ok !== true) throw strange(call, url, answer);
  const { ok: _, ...result } = body as { ok: true };
  return result as T;
}
