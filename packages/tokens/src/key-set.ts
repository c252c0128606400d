import { BodyTooLarge, readBytes } from '@groupcast/shared/bounded-body';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';

/** Longest time from the request to the last byte of the answer, in milliseconds: less than a connection's 5 s to authenticate. */
const TIMEOUT_MS = 3_000;
/** Largest JWKS. Those of identity providers, with certificates, come to some 20 KB. */
const MAX_BYTES = 512 * 1_024;
const MAX_KEYS = 100;
/** How long a provider that did not answer as it should is left alone, in milliseconds. */
export const KEY_SET_RETRY_MS = 1_000;
/** Shortest time between two readings because of an unknown key, in milliseconds. */
const COOLDOWN_MS = 30_000;
/** Age at which keys are read again, in milliseconds. */
const MAX_AGE_MS = 600_000;
/** How long keys that could not be read again are used, in seconds: a day is long enough for the provider's operator to notice. */
export const DEFAULT_MAX_STALE_KEYS_SECONDS = 86_400;
/** RFC 7518, section 3.3. */
const MIN_RSA_BITS = 2_048;

/** The provider's keys cannot be read: nothing is wrong with the token. */
export class KeySetUnreadable extends Error {
  override readonly name = 'KeySetUnreadable';
}

/** The keys that are in use could not be read again: tokens are still checked with them. */
export class KeySetStale extends Error {
  override readonly name = 'KeySetStale';

  constructor(ageMs: number, cause: KeySetUnreadable) {
    super(`the keys were read ${Math.round(ageMs / 60_000)} minutes ago, and not again since`, { cause });
  }
}

/** No key fits the token, and the keys were read before it was issued: there may be a new one. */
export class KeySetBehind extends Error {
  override readonly name = 'KeySetBehind';
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number, cause: unknown) {
    super('no key fits, so far', { cause });
    this.retryAfterMs = Math.ceil(retryAfterMs);
  }
}

/** The provider has published a key that cannot be used, or must not be trusted. */
export class KeyUnusable extends Error {
  override readonly name = 'KeyUnusable';
}

const utf8 = new TextDecoder();

function assertKeySet(text: string): void {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new KeySetUnreadable('the answer is not JSON', { cause });
  }
  const keys = (parsed as { keys?: unknown } | null)?.keys;
  const isKey = (key: unknown): boolean => typeof key === 'object' && key !== null && !Array.isArray(key);
  if (!Array.isArray(keys) || !keys.every(isKey)) throw new KeySetUnreadable('the answer is not a JWKS');
  if (keys.length > MAX_KEYS) throw new KeySetUnreadable(`the answer has more than ${MAX_KEYS} keys`);
}

/** Follows no redirect: the keys are those of the URL that was configured. */
async function readKeySet(url: string, request: RequestInit): Promise<Response> {
  try {
    const response = await fetch(url, { ...request, redirect: 'manual' });
    if (response.status !== 200) {
      response.body?.cancel().catch(() => undefined);
      throw new KeySetUnreadable(`the answer has the status ${response.status}`);
    }
    const text = utf8.decode(await readBytes(response.body, MAX_BYTES));
    assertKeySet(text);
    return new Response(text);
  } catch (error) {
    if (error instanceof KeySetUnreadable) throw error;
    if (error instanceof BodyTooLarge) throw new KeySetUnreadable(error.message, { cause: error });
    const isLate = error instanceof Error && error.name === 'TimeoutError';
    throw new KeySetUnreadable(isLate ? `no answer in ${TIMEOUT_MS} ms` : 'the provider cannot be reached', {
      cause: error,
    });
  }
}

export interface KeySet {
  /** Looks for the key of one token. Its `iat`, unverified, only says whether the token may be newer than the keys. */
  keyOf: (issuedAt: unknown) => JWTVerifyGetKey;
  /** How long ago the keys in use were read, in milliseconds, where they could not be read again since; 0 where they could. */
  staleMs: () => number;
}

/**
 * The keys of an identity provider, read when they are first needed, again after ten minutes, and for an unknown `kid` at most every
 * 30 s. Where they cannot be read again, the last ones are used for `maxStaleMs`, and no caller waits for the next attempt: a provider that
 * is away for an hour logs no user out.
 *
 * Throws `KeySetUnreadable` where there are no keys to use, for a second after a failure without asking again; `KeySetBehind` for a
 * token that may have been issued since the keys were read, since its key may be new; `KeyUnusable` for a key that must not be used; jose's errors where the token
 * names no key, or one that was gone when the keys were read.
 *
 * jose measures the age of keys by the wall clock: set back an hour, it would look for no new key, and drop no old one, for an hour. Here
 * their age is measured by a clock that only goes forward.
 */
export function createKeySet(
  url: string,
  options: {
    maxStaleMs: number;
    clockSkewSeconds: number;
    onStale: (problem: KeySetStale) => void;
    now?: () => number;
  },
): KeySet {
  const { maxStaleMs, clockSkewSeconds, onStale, now = () => performance.now() } = options;
  /** When the keys were asked for last, and when they were read. */
  let askedAt = Number.NEGATIVE_INFINITY;
  let readAt: number | undefined;
  let failure: { error: KeySetUnreadable; until: number } | undefined;

  async function readUnlessFailed(href: string, request: RequestInit): Promise<Response> {
    if (failure && now() < failure.until) throw failure.error;
    askedAt = now();
    try {
      const response = await readKeySet(href, request);
      failure = undefined;
      readAt = now();
      return response;
    } catch (error) {
      if (error instanceof KeySetUnreadable) failure = { error, until: now() + KEY_SET_RETRY_MS };
      throw error;
    }
  }
  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: TIMEOUT_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: Number.POSITIVE_INFINITY,
    [customFetch]: readUnlessFailed,
  });

  /** Reads keys that are old again. Throws where that fails, and those that there are may not be used any more. */
  async function refresh(): Promise<void> {
    if (readAt === undefined || now() - readAt <= MAX_AGE_MS) return;
    const reading = keys.reload();
    if (now() - readAt > maxStaleMs) return reading;
    try {
      // The first caller waits for the reading; while readings go on failing, no caller waits.
      if (failure) reading.catch(() => undefined);
      else await reading;
    } catch (error) {
      if (!(error instanceof KeySetUnreadable)) throw error;
    }
    if (failure) onStale(new KeySetStale(now() - readAt, failure.error));
  }

  /**
   * Whether a token was issued after the keys were read, as far as clocks agree. When that was is told by today's clock. One that does not
   * say when it was issued may be.
   */
  function isNewerThanKeys(issuedAt: unknown): boolean {
    if (issuedAt === undefined) return true;
    if (typeof issuedAt !== 'number') return false;
    return readAt === undefined || issuedAt > (Date.now() - (now() - readAt)) / 1_000 - clockSkewSeconds;
  }

  async function find(issuedAt: unknown, ...asked: Parameters<JWTVerifyGetKey>): ReturnType<typeof keys> {
    const before = askedAt;
    await refresh();
    try {
      return await keys(...asked);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // They were read for this token.
      if (askedAt !== before && !failure) throw error;
      const waitMs = askedAt + COOLDOWN_MS - now();
      if (waitMs > 0) throw isNewerThanKeys(issuedAt) ? (failure?.error ?? new KeySetBehind(waitMs, error)) : error;
      await keys.reload();
      return keys(...asked);
    }
  }

  return {
    staleMs: () => (failure && readAt !== undefined ? now() - readAt : 0),
    keyOf: (issuedAt) => async (header, token) => {
      try {
        const key = await find(issuedAt, header, token);
        const { modulusLength } = key.algorithm as { modulusLength?: number };
        if (modulusLength !== undefined && modulusLength < MIN_RSA_BITS) {
          throw new KeyUnusable(`the key has ${modulusLength} bits, and needs ${MIN_RSA_BITS}`);
        }
        return key;
      } catch (error) {
        const isOfToken = error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys;
        const isOfSet = error instanceof KeySetUnreadable || error instanceof KeySetBehind;
        if (isOfToken || isOfSet || error instanceof KeyUnusable) throw error;
        throw new KeyUnusable('the key cannot be imported', { cause: error });
      }
    },
  };
}
