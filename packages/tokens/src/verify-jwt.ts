import { MAX_SHORT_TOKEN_SECONDS } from '@groupcast/shared';
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { CLOCK_TOLERANCE_SECONDS, type ExpectedClaims, type Verified } from './hs256.ts';

/** A token "issued" later than this would outlive every removal and revocation. */
export const MAX_FUTURE_IAT_SECONDS = CLOCK_TOLERANCE_SECONDS;

/** Verifies with the keys of an identity provider. Throws and returns what `verifyHs256` does. */
export async function verifyWithJwks(
  token: string,
  jwks: JWTVerifyGetKey,
  expected: ExpectedClaims,
): Promise<Verified> {
  try {
    const { payload } = await jwtVerify(token, jwks, {
      ...expected,
      algorithms: ['RS256', 'ES256', 'EdDSA', 'Ed25519'],
      requiredClaims: ['sub', 'iat', 'exp'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    });
    return { payload, expired: false };
  } catch (error) {
    if (error instanceof errors.JWTExpired) return { payload: error.payload, expired: true };
    throw error;
  }
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
