import { AUDIENCE, GroupcastError, parseId, parseUserId, type UserClaims } from '@groupcast/shared';
import { errors, type JWTPayload } from 'jose';
import {
  type ExpectedClaims,
  readToken,
  secretKeys,
  type UnverifiedToken,
  type Verified,
  verifyHs256,
} from './hs256.ts';
import { createKeySet, KEY_SET_RETRY_MS, KeySetUnreadable, KeyUnusable } from './key-set.ts';
import { checkTimes, verifyWithJwks } from './verify-jwt.ts';

export interface UserTokenOptions {
  /** HS256 secret of user tokens; ignored when `jwksUrl` is set. */
  secret?: string | undefined;
  previousSecret?: string | undefined;
  jwksUrl?: string | undefined;
  issuer?: string | undefined;
  audience?: string | undefined;
  /** With a JWKS: the claim that names Groupcast groups. Without it, such tokens name none. */
  groupsClaim?: string | undefined;
  connectionSecret?: string | undefined;
  previousConnectionSecret?: string | undefined;
  /** Called for each token that cannot be accepted because of the JWKS or a key in it. It is the operator's to know. */
  onKeyProblem?: ((problem: Error) => void) | undefined;
}

export interface UserTokenVerifier {
  /** Throws `TOKEN_MISSING`, `TOKEN_EXPIRED` (if that is all), `TOKEN_INVALID`, or `INTERNAL` when no key can be fetched. */
  verify(token: string | undefined): Promise<UserClaims>;
}

const OUR_SERVICE_AUDIENCES: readonly string[] = [AUDIENCE.relay, AUDIENCE.api];

function invalid(why: string, cause?: unknown): GroupcastError {
  return new GroupcastError('TOKEN_INVALID', `unable to accept the token; ${why}`, { cause });
}

function readGroups(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid('its groups are not a list');
  const groups = value.map((item) => {
    const id = parseId(item);
    if (id === undefined) throw invalid('it names a group with an invalid id');
    return id;
  });
  return [...new Set(groups)];
}

function readProfile(payload: JWTPayload): UserClaims['profile'] {
  const profile: UserClaims['profile'] = {};
  for (const field of ['name', 'email', 'picture'] as const) {
    const value = payload[field];
    if (typeof value === 'string' && value.length > 0) profile[field] = value.slice(0, 2_048);
  }
  return profile;
}

function refuse(error: unknown): never {
  if (error instanceof KeySetUnreadable) {
    throw new GroupcastError('INTERNAL', 'unable to verify the token; the JWKS cannot be read', {
      cause: error,
      retryAfterMs: KEY_SET_RETRY_MS,
    });
  }
  throw invalid('its signature, algorithm or claims are wrong', error);
}

/** How the tokens of one kind are verified. Rejects with jose's errors. */
interface Verification {
  check: (token: string, read: UnverifiedToken) => Promise<Verified>;
  groupsClaim: string | undefined;
}

function bySecret(secrets: readonly (string | undefined)[], expected: ExpectedClaims): Verification {
  const keys = secretKeys(...secrets);
  return { check: async (_token, read) => verifyHs256(read, keys, expected), groupsClaim: 'groups' };
}

function byJwks(options: UserTokenOptions, expected: ExpectedClaims): Verification {
  const { jwksUrl = '', groupsClaim, onKeyProblem } = options;
  const jwks = createKeySet(jwksUrl);
  const check = async (token: string): Promise<Verified> => {
    try {
      return await verifyWithJwks(token, jwks, expected);
    } catch (error) {
      if (error instanceof KeySetUnreadable || error instanceof KeyUnusable) onKeyProblem?.(error);
      throw error;
    }
  };
  return { check, groupsClaim };
}

/** Which tokens it is one of, unverified: it only picks the verifier. */
function claimedAudiences({ claims: { aud } }: UnverifiedToken): readonly unknown[] {
  return Array.isArray(aud) ? aud : [aud];
}

/** One verifier for user and connection tokens. Algorithms are fixed here, never by the token. */
export function createUserTokenVerifier(options: UserTokenOptions): UserTokenVerifier {
  const expected = {
    ...(options.issuer ? { issuer: options.issuer } : {}),
    ...(options.audience ? { audience: options.audience } : {}),
  };
  const user = options.jwksUrl
    ? byJwks(options, expected)
    : bySecret([options.secret, options.previousSecret], expected);
  const connection = bySecret([options.connectionSecret, options.previousConnectionSecret], {
    audience: AUDIENCE.connection,
  });

  return {
    async verify(token) {
      if (!token) throw new GroupcastError('TOKEN_MISSING', 'unable to authenticate; no token was given');
      const read = readToken(token) ?? refuse(new errors.JWSInvalid('not a compact JWT'));
      const audiences = claimedAudiences(read);
      if (OUR_SERVICE_AUDIENCES.some((audience) => audiences.includes(audience))) {
        throw invalid('it is a service token, not a user token');
      }
      const kind = audiences.includes(AUDIENCE.connection) ? 'connection' : 'user';
      const { check, groupsClaim } = kind === 'connection' ? connection : user;
      const { payload, expired } = await check(token, read).catch(refuse);
      const times = checkTimes(payload, kind === 'connection');
      if (typeof times === 'string') throw invalid(times);
      const userId = parseUserId(payload.sub);
      if (userId === undefined) throw invalid('its sub is not a user id');
      const groups = groupsClaim ? readGroups(payload[groupsClaim]) : [];
      if (expired) throw new GroupcastError('TOKEN_EXPIRED', 'unable to accept the token; token expired, log in again');
      return { kind, userId, ...times, groups, profile: readProfile(payload) };
    },
  };
}
