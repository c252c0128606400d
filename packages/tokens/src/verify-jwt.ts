import { MAX_SHORT_TOKEN_SECONDS } from '@groupcast/shared';
import {
  type CryptoKey,
  decodeJwt,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';

/** Clocks of two machines may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 5;
/** A token "issued" later than this would outlive every removal and revocation. */
export const MAX_FUTURE_IAT_SECONDS = CLOCK_TOLERANCE_SECONDS;

export type Key = Promise<CryptoKey> | JWTVerifyGetKey;
type Attempt = { ok: true; payload: JWTPayload } | { ok: false; expired: JWTPayload | undefined; error: unknown };

/** Imported once: done for every token, it costs more than the verification. */
export function secretKeys(...secrets: readonly (string | undefined)[]): Key[] {
  return secrets
    .filter((secret) => secret !== undefined && secret !== '')
    .map(async (secret) => {
      const algorithm = { name: 'HMAC', hash: 'SHA-256' };
      return crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, ['verify']);
    });
}

/** The `aud` a token claims, unverified: it only picks the verifier. */
export function claimedAudiences(token: string): string[] {
  try {
    const { aud } = decodeJwt(token);
    return typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud.filter((item) => typeof item === 'string') : [];
  } catch {
    return [];
  }
}

async function attempt(token: string, key: Key, options: JWTVerifyOptions): Promise<Attempt> {
  try {
    const { payload } =
      typeof key === 'function' ? await jwtVerify(token, key, options) : await jwtVerify(token, await key, options);
    return { ok: true, payload };
  } catch (error) {
    return { ok: false, expired: error instanceof errors.JWTExpired ? error.payload : undefined, error };
  }
}

/**
 * Verifies against each key in turn (rotation). Throws jose's error of the last key; an expired token is returned with
 * `expired: true`, so that the caller can tell "expired, and that is all" from "wrong, and expired as well".
 */
export async function verifyWithKeys(
  token: string,
  keys: readonly Key[],
  options: JWTVerifyOptions & { algorithms: string[] },
): Promise<{ payload: JWTPayload; expired: boolean }> {
  let last: unknown;
  for (const key of keys) {
    const result = await attempt(token, key, {
      ...options,
      requiredClaims: ['sub', 'iat', 'exp'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    });
    if (result.ok) return { payload: result.payload, expired: false };
    if (result.expired) return { payload: result.expired, expired: true };
    last = result.error;
    if (!(last instanceof errors.JWSSignatureVerificationFailed)) break;
  }
  throw last ?? new errors.JWTInvalid('no key is configured');
}

/** `iat` and `exp` as finite numbers, `iat` not in the future, and at most `MAX_SHORT_TOKEN_SECONDS` ahead if `short`. */
export function checkTimes(payload: JWTPayload, short: boolean): { issuedAt: number; expiresAt: number } | string {
  const now = Date.now() / 1000;
  const { iat, exp } = payload;
  if (!Number.isFinite(iat) || !Number.isFinite(exp) || iat === undefined || exp === undefined) {
    return 'iat and exp must be numbers';
  }
  if (iat > now + MAX_FUTURE_IAT_SECONDS) return 'iat lies in the future';
  if (short && exp > now + MAX_SHORT_TOKEN_SECONDS + CLOCK_TOLERANCE_SECONDS) {
    return `exp must be at most ${MAX_SHORT_TOKEN_SECONDS} seconds ahead`;
  }
  return { issuedAt: Math.floor(iat), expiresAt: Math.floor(exp) };
}
