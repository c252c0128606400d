import { AUDIENCE } from '@groupcast/shared';
import { BodyTooLarge, readBytes } from '@groupcast/shared/bounded-body';
import { signServiceToken } from '@groupcast/tokens';

/**
 * One request to the back end, with a token of the relay's own and never a user's. It takes 3 s at most, follows no redirect and reads no
 * more than it was told to.
 */
export interface Transport {
  /**
   * Returns the answer as parsed JSON. Throws `CallFailure`. `mayRefuse`: a 401 with an `error` is an answer about the one who is asked
   * about, and not about this relay.
   */
  post(path: string, body: unknown, options: { maxAnswerBytes: number; mayRefuse?: boolean }): Promise<unknown>;
}

/**
 * `failed`: it cannot be reached, or refuses this relay. `unusable`: it answers this question wrongly, which says nothing of others.
 * `not-offered`: it answers, and has no such call. `refused`: it answers no; `answer` is the `error` that it gives.
 */
export type FailureKind = 'timed-out' | 'failed' | 'unusable' | 'not-offered' | 'refused';

/** Why there is no answer that can be used. Users read the text. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure';
  readonly kind: FailureKind;
  readonly answer: unknown;

  constructor(kind: FailureKind, message: string, options: { cause?: unknown; answer?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.answer = options.answer;
  }
}

/** How long an answer may take, from the request to its last byte, in milliseconds. */
const TIMEOUT_MS = 3_000;
/** Bytes that are read of a refusal. */
const MAX_REFUSAL_BYTES = 4_096;
const TOKEN_TTL_SECONDS = 60;

function kindOf(status: number): FailureKind {
  switch (status) {
    case 404:
    case 405:
    case 501:
      return 'not-offered';
    // The relay's token, or a proxy with nothing behind it.
    case 401:
    case 403:
    case 502:
    case 503:
    case 504:
      return 'failed';
    default:
      return 'unusable';
  }
}

const utf8 = new TextDecoder();

/** A text that is not the relay's own may name `API_URL`, with a password in it. */
function failureOf(error: unknown): CallFailure {
  if (error instanceof CallFailure) return error;
  if (error instanceof BodyTooLarge) return new CallFailure('unusable', error.message, { cause: error });
  if (error instanceof SyntaxError) return new CallFailure('unusable', 'its answer is not JSON', { cause: error });
  if (error instanceof Error && error.name === 'TimeoutError')
    return new CallFailure('timed-out', `no answer in ${TIMEOUT_MS} ms`, { cause: error });
  return new CallFailure('failed', 'it cannot be reached', { cause: error });
}

async function readError(response: Response): Promise<unknown> {
  const text = utf8.decode(await readBytes(response.body, MAX_REFUSAL_BYTES).catch(() => new Uint8Array()));
  try {
    return (JSON.parse(text) as { error?: unknown } | null)?.error;
  } catch {
    return undefined;
  }
}

/** A back end that does not accept the relay's own token may say so by this code. */
function isOfTheRelay(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'SERVICE_TOKEN_INVALID';
}

/** Why there is no answer. The reason that the back end gives (a clock, a secret) is for the log and not for users. */
async function failureOfStatus(response: Response, mayRefuse: boolean): Promise<CallFailure> {
  const { status } = response;
  const error = await readError(response);
  const isRefusal = mayRefuse && status === 401 && (typeof error === 'string' || typeof error === 'object');
  if (isRefusal && error !== null && !isOfTheRelay(error))
    return new CallFailure('refused', 'it answered no', { answer: error });
  const { message } = (error ?? {}) as { message?: unknown };
  const cause = typeof message === 'string' ? new Error(message) : undefined;
  return new CallFailure(kindOf(status), `it answered ${status}`, { cause });
}

export function createTransport(options: { apiUrl: string; secret: string }): Transport {
  /** By a clock that only goes forward: a token that was signed before the wall clock was set back is not kept until it is that late again. */
  let token: { value: string; goodUntil: number } | undefined;

  async function serviceToken(): Promise<string> {
    if (!token || token.goodUntil < performance.now()) {
      const value = await signServiceToken({
        secret: options.secret,
        scopes: ['relay'],
        subject: 'socket-relay',
        audience: AUDIENCE.api,
        ttlSeconds: TOKEN_TTL_SECONDS,
      });
      token = { value, goodUntil: performance.now() + (TOKEN_TTL_SECONDS - 15) * 1_000 };
    }
    return token.value;
  }

  return {
    async post(path, body, { maxAnswerBytes, mayRefuse = false }) {
      try {
        const response = await fetch(`${options.apiUrl}${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${await serviceToken()}` },
          body: JSON.stringify(body),
          // The token and the question are for the API that was configured, and for no address that it names.
          redirect: 'manual',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        if (!response.ok) throw await failureOfStatus(response, mayRefuse);
        return JSON.parse(utf8.decode(await readBytes(response.body, maxAnswerBytes)));
      } catch (error) {
        throw failureOf(error);
      }
    },
  };
}
