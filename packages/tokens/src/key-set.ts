import { BodyTooLarge, readBytes } from '@groupcast/shared/bounded-body';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';

/** From the request to the last byte of the answer, in milliseconds: less than a connection's 5 s to authenticate. */
const TIMEOUT_MS = 3_000;
/** Largest JWKS. Those of identity providers, with certificates, come to some 20 KB. */
const MAX_BYTES = 512 * 1_024;
const MAX_KEYS = 100;
/** How long a provider that did not answer as it should is left alone, in milliseconds. */
export const KEY_SET_RETRY_MS = 1_000;
/** A key that is not known is looked for again, this long after the last time. */
const COOLDOWN_MS = 30_000;
/** Keys are read again when they are older than this, in milliseconds. */
const MAX_AGE_MS = 600_000;
/** RFC 7518, section 3.3. */
const MIN_RSA_BITS = 2_048;

/** The provider cannot be asked for its keys, or its answer is none: nothing is wrong with the token. */
export class KeySetUnreadable extends Error {
  override readonly name = 'KeySetUnreadable';
}

/** The provider published a key that nobody should trust, or can. */
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

/**
 * The keys of an identity provider, read when they are first needed, again after ten minutes, and for an unknown `kid` at most every
 * 30 s. Throws `KeySetUnreadable`, for a second after a failure without asking again; `KeyUnusable` for a key that must not be used;
 * jose's errors where the token names no key.
 *
 * jose measures the age of keys by the wall clock: set back an hour, it would look for no new key, and drop no old one, for an hour. Here
 * their age is measured by a clock that only goes forward.
 */
export function createKeySet(url: string, now: () => number = () => performance.now()): JWTVerifyGetKey {
  let readAt = Number.NEGATIVE_INFINITY;
  let failure: { error: KeySetUnreadable; until: number } | undefined;

  async function readUnlessFailed(href: string, request: RequestInit): Promise<Response> {
    if (failure && now() < failure.until) throw failure.error;
    readAt = now();
    try {
      const response = await readKeySet(href, request);
      failure = undefined;
      return response;
    } catch (error) {
      if (error instanceof KeySetUnreadable) failure = { error, until: now() + KEY_SET_RETRY_MS };
      throw error;
    }
  }
  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: TIMEOUT_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: MAX_AGE_MS,
    [customFetch]: readUnlessFailed,
  });

  async function find(...asked: Parameters<JWTVerifyGetKey>): ReturnType<typeof keys> {
    if (now() - readAt > MAX_AGE_MS) await keys.reload();
    try {
      return await keys(...asked);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || now() - readAt < COOLDOWN_MS) throw error;
      await keys.reload();
      return keys(...asked);
    }
  }

  return async (header, token) => {
    try {
      const key = await find(header, token);
      const { modulusLength } = key.algorithm as { modulusLength?: number };
      if (modulusLength !== undefined && modulusLength < MIN_RSA_BITS) {
        throw new KeyUnusable(`the key has ${modulusLength} bits, and needs ${MIN_RSA_BITS}`);
      }
      return key;
    } catch (error) {
      const isOfToken = error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys;
      if (isOfToken || error instanceof KeySetUnreadable || error instanceof KeyUnusable) throw error;
      throw new KeyUnusable('the key cannot be imported', { cause: error });
    }
  };
}
