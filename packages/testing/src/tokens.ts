import { signUserToken } from '@groupcast/tokens';
import { type JWTPayload, SignJWT } from 'jose';
import { TEST_SECRETS } from './system.ts';

/** A user token as `JWT_SECRET` of `TEST_SECRETS` signs it. */
export async function tokenFor(userId: string, groups?: readonly string[], ttlSeconds = 3_600): Promise<string> {
  const options = { secret: TEST_SECRETS.JWT_SECRET, userId, ttlSeconds };
  return (await signUserToken(groups ? { ...options, groups } : options)).token;
}

/** Any claims, signed HS256 with any secret: for tokens that are wrong on purpose. */
export async function tokenWith(
  claims: JWTPayload,
  secret: string | Uint8Array = TEST_SECRETS.JWT_SECRET,
): Promise<string> {
  const key = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(key);
}
