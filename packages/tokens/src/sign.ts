import {
  AUDIENCE,
  DEFAULT_USER_CLAIM,
  MAX_SHORT_TOKEN_SECONDS,
  type ServiceScope,
  type UserClaims,
} from '@groupcast/shared';
import { type JWTPayload, SignJWT } from 'jose';
import { claimAt } from './claim-path.ts';

const encoder = new TextEncoder();

async function sign(claims: JWTPayload, secret: string, issuedAt: number, expiresAt: number): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiresAt)
    .sign(encoder.encode(secret));
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** A service token for the relay or, with `audience: AUDIENCE.api`, for the API's `/internal` routes. At most 10 minutes. */
export async function signServiceToken(options: {
  secret: string;
  scopes: readonly ServiceScope[];
  /** The program that asks, as logs show it. */
  subject: string;
  audience?: typeof AUDIENCE.relay | typeof AUDIENCE.api;
  ttlSeconds?: number;
}): Promise<string> {
  const issuedAt = nowSeconds();
  const ttl = Math.min(options.ttlSeconds ?? 300, MAX_SHORT_TOKEN_SECONDS);
  const claims = { sub: options.subject, aud: options.audience ?? AUDIENCE.relay, scope: options.scopes.join(' ') };
  return sign(claims, options.secret, issuedAt, issuedAt + ttl);
}

/** A connection token for `user`: at most 10 minutes, and never longer than the user token it stands for. */
export async function signConnectionToken(options: {
  secret: string;
  user: UserClaims;
  groups: readonly string[];
  /** Unix seconds, taken *before* the groups were read: a removal in between must be later than the token. */
  issuedAt: number;
  /** False where the user hides their presence; there is no claim otherwise. */
  presence?: false | undefined;
}): Promise<{ token: string; expiresAt: number }> {
  const { issuedAt, presence } = options;
  const expiresAt = Math.min(issuedAt + MAX_SHORT_TOKEN_SECONDS, options.user.expiresAt);
  const claims = {
    sub: options.user.userId,
    aud: AUDIENCE.connection,
    groups: [...options.groups],
    ...(presence === false ? { presence } : {}),
  };
  return { token: await sign(claims, options.secret, issuedAt, expiresAt), expiresAt };
}

/** A user token signed with `JWT_SECRET`: for the demo login and the `token` command. */
export async function signUserToken(options: {
  secret: string;
  userId: string;
  ttlSeconds: number;
  groups?: readonly string[];
  name?: string;
  issuer?: string;
  audience?: string;
  /** The claim that the verifier reads the user from, where that is not `sub`. */
  userClaim?: string;
}): Promise<{ token: string; expiresAt: number }> {
  const issuedAt = nowSeconds();
  const expiresAt = issuedAt + options.ttlSeconds;
  const { userClaim = DEFAULT_USER_CLAIM } = options;
  const claims: JWTPayload = {
    sub: options.userId,
    ...(userClaim === DEFAULT_USER_CLAIM ? {} : claimAt(userClaim, options.userId)),
    ...(options.groups ? { groups: [...options.groups] } : {}),
    ...(options.name ? { name: options.name } : {}),
    ...(options.issuer ? { iss: options.issuer } : {}),
    ...(options.audience ? { aud: options.audience } : {}),
  };
  return { token: await sign(claims, options.secret, issuedAt, expiresAt), expiresAt };
}
