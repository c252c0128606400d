import { MAX_SHORT_TOKEN_SECONDS } from '@groupcast/shared';
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { ALL_REQUIRED, DEFAULT_CLOCK_SKEW_SECONDS, type ExpectedClaims, type Verified } from './hs256.ts';
import { TokenRefusal } from './token-refusal.ts';

/** Verifies with the keys of an identity provider. Throws and returns what `verifyHs256` does. */
export async function verifyWithJwks(
  token: string,
  jwks: JWTVerifyGetKey,
  { clockSkewSeconds = DEFAULT_CLOCK_SKEW_SECONDS, required = ALL_REQUIRED, ...expected }: ExpectedClaims,
): Promise<Verified> {
  try {
    const { payload } = await jwtVerify(token, jwks, {
      ...expected,
      algorithms: ['RS256', 'ES256', 'EdDSA', 'Ed25519'],
      requiredClaims: [...required],
      clockTolerance: clockSkewSeconds,
    });
    return { payload, expired: false };
  } catch (error) {
    if (error instanceof errors.JWTExpired) return { payload: error.payload, expired: true };
    throw error;
  }
}

/** The advice of a refusal whose cause may be a clock. */
const COMPARE_CLOCKS = 'compare the clocks of the two machines';

/** When a token without an `iat` counts as issued: before every removal and every revocation. */
const NEVER_ISSUED = 0;

/**
 * `iat` and `exp` as finite numbers, `iat` no further ahead than clocks may differ (a token "issued" later would outlive every removal
 * and revocation; one that does not say when counts as issued at 0), and `exp` at most `MAX_SHORT_TOKEN_SECONDS` ahead if `short`. Throws a `TokenRefusal`.
 */
export function checkTimes(
  payload: JWTPayload,
  options: { short: boolean; clockSkewSeconds: number },
): { issuedAt: number; expiresAt: number } {
  const { short, clockSkewSeconds } = options;
  const now = Date.now() / 1000;
  const { iat = NEVER_ISSUED, exp } = payload;
  if (!Number.isFinite(iat)) throw new TokenRefusal('iat', 'its iat is not a number');
  if (!Number.isFinite(exp) || exp === undefined) throw new TokenRefusal('exp', 'its exp is not a number');
  if (iat > now + clockSkewSeconds) {
    const ahead = `its iat lies ${Math.ceil(iat - now)} s in the future, and may be ${clockSkewSeconds} s ahead`;
    throw new TokenRefusal('iat', `${ahead}: ${COMPARE_CLOCKS}`);
  }
  if (short && exp > now + MAX_SHORT_TOKEN_SECONDS + clockSkewSeconds) {
    const ahead = `its exp lies ${Math.ceil(exp - now)} s in the future, and may be ${MAX_SHORT_TOKEN_SECONDS} s ahead`;
    throw new TokenRefusal('exp', `${ahead}: sign it for a shorter time, or ${COMPARE_CLOCKS}`);
  }
  return { issuedAt: Math.floor(iat), expiresAt: Math.floor(exp) };
}

/** Says of a token that has expired how long ago, and by whose clock. */
export function expiredRefusal({ iat, exp }: JWTPayload): TokenRefusal {
  const seconds = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);
  const ago = Math.ceil(Date.now() / 1000 - seconds(exp));
  const life = Math.round(seconds(exp) - seconds(iat));
  return new TokenRefusal('exp', `it expired ${ago} s ago, after a life of ${life} s: if it is new, ${COMPARE_CLOCKS}`);
}
