import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';

/** How long reading the JWKS may take, in milliseconds: less than a connection's 5 s to authenticate. */
const TIMEOUT_MS = 3_000;
/** A key that is not known is looked for again, this long after the last time. */
const COOLDOWN_MS = 30_000;
/** Keys are read again when they are older than this, in milliseconds. */
const MAX_AGE_MS = 600_000;

/**
 * The keys of an identity provider, read when they are needed. jose measures their age by the wall clock: set back an hour, it would look
 * for no new key, and drop no old one, for an hour. Here their age is measured by a clock that only goes forward.
 */
export function createJwks(url: string, now: () => number = () => performance.now()): JWTVerifyGetKey {
  let readAt = Number.NEGATIVE_INFINITY;
  const jwks = createRemoteJWKSet(new URL(url), {
    timeoutDuration: TIMEOUT_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: MAX_AGE_MS,
    [customFetch]: async (...request: Parameters<typeof fetch>) => {
      readAt = now();
      return fetch(...request);
    },
  });

  return async (header, token) => {
    const age = now() - readAt;
    if (age > MAX_AGE_MS) await jwks.reload();
    try {
      return await jwks(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || now() - readAt < COOLDOWN_MS) throw error;
      await jwks.reload();
      return jwks(header, token);
    }
  };
}
