import { AUDIENCE, DEFAULT_USER_CLAIM, GroupcastError, parseId, parseUserId, type UserClaims } from '@groupcast/shared';
import { errors, type JWTPayload } from 'jose';
import { readClaim } from './claim-path.ts';
import {
  createSignatureCheck,
  DEFAULT_CLOCK_SKEW_SECONDS,
  type ExpectedClaims,
  type RequiredClaim,
  readToken,
  rememberSignatures,
  secretKeys,
  type UnverifiedToken,
  type Verified,
  verifyHs256,
} from './hs256.ts';
import {
  createKeySet,
  DEFAULT_MAX_STALE_KEYS_SECONDS,
  KEY_SET_RETRY_MS,
  KeySetBehind,
  KeySetUnreadable,
  KeyUnusable,
} from './key-set.ts';
import { type CheckedWith, explainRefusal, TokenOver, TokenRefusal, withoutScheme } from './token-refusal.ts';
import { otherUserClaim } from './user-claim.ts';
import { checkTimes, verifyWithJwks } from './verify-jwt.ts';

export interface UserTokenOptions {
  /** HS256 secret of user tokens; ignored when `jwksUrl` is set. */
  secret?: string | undefined;
  previousSecret?: string | undefined;
  jwksUrl?: string | undefined;
  issuer?: string | undefined;
  audience?: string | undefined;
  /** The claim of user tokens that names the user: `sub`, or a path such as `user.id`. */
  userClaim?: string | undefined;
  /** With a JWKS: the claim that names Groupcast groups. Without it, such tokens name none. */
  groupsClaim?: string | undefined;
  connectionSecret?: string | undefined;
  previousConnectionSecret?: string | undefined;
  /** Most seconds by which the clocks of this machine and of the issuer of tokens may differ. */
  clockSkewSeconds?: number | undefined;
  /**
   * HS256 tokens whose signature is remembered once it was found to be right, for callers who send the same one with every request. By
   * default none is.
   */
  rememberedTokens?: number | undefined;
  /** How long keys are used that could not be read again. */
  maxStaleKeysSeconds?: number | undefined;
  /** Whether the answer says what is wrong with a token; in production only the log does. */
  explain?: boolean | undefined;
  /**
   * Called where the JWKS cannot be read, or a key in it cannot be used: for each token that cannot be accepted because of it, and for
   * each that is accepted by keys that could not be read again. The operator has to know.
   */
  onKeyProblem?: ((problem: Error) => void) | undefined;
  /** Called for each token that names groups which do not count. */
  onGroupProblem?: ((problem: GroupProblem) => void) | undefined;
}

/**
 * Groups of a token that do not count. `invalid` groups are not ids, and left out. `unclaimed` ones are an identity provider's own, where no
 * claim was configured to name Groupcast's.
 */
export interface GroupProblem {
  kind: 'invalid' | 'unclaimed';
  userId: string;
  /** The first of them, as JSON, and how many there are. */
  group: string;
  count: number;
}

export interface UserTokenVerifier {
  /**
   * Throws `TOKEN_MISSING`, `TOKEN_EXPIRED` (if that is all), `TOKEN_INVALID`, or `API_UNAVAILABLE` when no key can be fetched, or
   * the token is newer than the keys. What is wrong is in `refusalOf` the error.
   */
  verify(token: string | undefined): Promise<UserClaims>;
  /** How long the keys in use could not be read again, in seconds; 0 without a JWKS. */
  staleKeysSeconds: () => number;
}

const OUR_SERVICE_AUDIENCES: readonly string[] = [AUDIENCE.relay, AUDIENCE.api];
/** The text that every caller gets about a fault whose details only the signer of the token may know. */
const UNEXPLAINED = 'its signature, algorithm or claims are wrong';
const MAX_SHOWN_LENGTH = 64;

function readGroups(value: unknown): { groups: string[]; invalid: unknown[] } {
  if (value === undefined || value === null) return { groups: [], invalid: [] };
  if (!Array.isArray(value)) throw new TokenRefusal('groups', 'its groups are not a list');
  const groups = new Set<string>();
  const invalid: unknown[] = [];
  for (const item of value) {
    const id = parseId(item);
    if (id === undefined) invalid.push(item);
    else groups.add(id);
  }
  return { groups: [...groups], invalid };
}

/** The user that a token names. Connection tokens are the API's own, and name theirs in `sub`. */
function readUser(payload: JWTPayload, claim: string): string {
  const value = readClaim(payload, claim);
  const userId = parseUserId(value);
  if (userId !== undefined) return userId;
  const name = claim === DEFAULT_USER_CLAIM ? claim : `${claim} (JWT_USER_CLAIM)`;
  const why =
    value === undefined || value === null
      ? `it has no ${name}${otherUserClaim(payload, claim)}`
      : `its ${name} is not a user id`;
  throw new TokenRefusal('sub', why);
}

function readProfile(payload: JWTPayload): UserClaims['profile'] {
  const profile: UserClaims['profile'] = {};
  for (const field of ['name', 'email', 'picture'] as const) {
    const value = payload[field];
    if (typeof value === 'string' && value.length > 0) profile[field] = value.slice(0, 2_048);
  }
  return profile;
}

/** Failures that are not the token's fault: its owner may try again with it. */
function notYet(error: unknown): GroupcastError | undefined {
  if (error instanceof KeySetUnreadable) {
    return new GroupcastError('API_UNAVAILABLE', 'unable to verify the token; the JWKS cannot be read', {
      cause: error,
      retryAfterMs: KEY_SET_RETRY_MS,
    });
  }
  if (error instanceof KeySetBehind) {
    return new GroupcastError(
      'API_UNAVAILABLE',
      'unable to verify the token; its key is not among those that were read',
      {
        cause: new TokenRefusal('key', 'no key of JWT_JWKS_URL has its kid and algorithm, so far', error),
        retryAfterMs: error.retryAfterMs,
      },
    );
  }
  return undefined;
}

/** How the tokens of one kind are verified. Rejects with jose's errors. */
interface Verification {
  check: (token: string, read: UnverifiedToken) => Promise<Verified>;
  groupsClaim: string | undefined;
  with: CheckedWith;
  staleMs?: () => number;
}

function bySecret(
  { secrets, remembered }: { secrets: readonly (string | undefined)[]; remembered: number },
  expected: ExpectedClaims,
  checkedWith: Omit<CheckedWith, 'algorithms'>,
): Verification {
  const check = createSignatureCheck(secretKeys(...secrets));
  const isSigned = remembered > 0 ? rememberSignatures(check, remembered) : check;
  return {
    check: async (_token, read) => verifyHs256(read, isSigned, expected),
    groupsClaim: 'groups',
    with: { ...checkedWith, algorithms: 'HS256' },
  };
}

function byJwks(
  options: UserTokenOptions,
  expected: ExpectedClaims,
  checkedWith: Omit<CheckedWith, 'algorithms' | 'key'>,
): Verification {
  const { jwksUrl = '', groupsClaim, onKeyProblem, maxStaleKeysSeconds = DEFAULT_MAX_STALE_KEYS_SECONDS } = options;
  const keys = createKeySet(jwksUrl, {
    maxStaleMs: maxStaleKeysSeconds * 1_000,
    clockSkewSeconds: expected.clockSkewSeconds ?? DEFAULT_CLOCK_SKEW_SECONDS,
    onStale: (problem) => onKeyProblem?.(problem),
  });
  const check = async (token: string, { claims: { iat } }: UnverifiedToken): Promise<Verified> => {
    try {
      return await verifyWithJwks(token, keys.keyOf(iat), expected);
    } catch (error) {
      if (error instanceof KeySetUnreadable || error instanceof KeyUnusable) onKeyProblem?.(error);
      throw error;
    }
  };
  const algorithms = 'RS256, ES256 or EdDSA';
  return { check, groupsClaim, with: { ...checkedWith, key: 'JWT_JWKS_URL', algorithms }, staleMs: keys.staleMs };
}

/** The kind of a token by its unverified claims, which only pick the verifier. */
function claimedAudiences({ claims: { aud } }: UnverifiedToken): readonly unknown[] {
  return Array.isArray(aud) ? aud : [aud];
}

/** One verifier for user and connection tokens. Algorithms are fixed here, never by the token. */
export function createUserTokenVerifier(options: UserTokenOptions): UserTokenVerifier {
  const { issuer, audience, onGroupProblem, rememberedTokens: remembered = 0 } = options;
  const { userClaim = DEFAULT_USER_CLAIM } = options;
  const { clockSkewSeconds = DEFAULT_CLOCK_SKEW_SECONDS } = options;
  // jsonwebtoken writes an iat, others may not. An exp is required: a session ends with its token.
  const required: readonly RequiredClaim[] = userClaim === DEFAULT_USER_CLAIM ? ['sub', 'exp'] : ['exp'];
  const expected = { clockSkewSeconds, required, ...(issuer ? { issuer } : {}), ...(audience ? { audience } : {}) };
  const names = {
    ...(issuer ? { issuer: `${issuer} (JWT_ISSUER)` } : {}),
    ...(audience ? { audience: `${audience} (JWT_AUDIENCE)` } : {}),
  };
  const user = options.jwksUrl
    ? byJwks(options, expected, names)
    : bySecret({ secrets: [options.secret, options.previousSecret], remembered }, expected, {
        ...names,
        key: 'JWT_SECRET',
      });
  const connection = bySecret(
    { secrets: [options.connectionSecret, options.previousConnectionSecret], remembered },
    { clockSkewSeconds, audience: AUDIENCE.connection },
    { key: 'CONNECTION_TOKEN_SECRET (JWT_SECRET where that is not set): compare it with the API’s' },
  );

  /** `isSecret`: in production only the log says it. */
  function invalid(refusal: TokenRefusal, isSecret: boolean): GroupcastError {
    const { message, fault } = refusal;
    const told = options.explain || !isSecret ? message : UNEXPLAINED;
    return new GroupcastError('TOKEN_INVALID', `unable to accept the token; ${told}`, {
      cause: refusal,
      ...(options.explain ? { details: { fault } } : {}),
    });
  }

  function tellGroups(kind: GroupProblem['kind'], userId: string, groups: readonly unknown[]): void {
    if (groups.length === 0) return;
    const group = (JSON.stringify(groups[0]) ?? '').slice(0, MAX_SHOWN_LENGTH);
    onGroupProblem?.({ kind, userId, group, count: groups.length });
  }

  function readClaims(kind: UserClaims['kind'], payload: JWTPayload, groupsClaim: string | undefined): UserClaims {
    const times = checkTimes(payload, { short: kind === 'connection', clockSkewSeconds });
    const userId = readUser(payload, kind === 'user' ? userClaim : DEFAULT_USER_CLAIM);
    const { groups, invalid: left } = readGroups(groupsClaim ? payload[groupsClaim] : undefined);
    tellGroups('invalid', userId, left);
    const unclaimed = payload['groups'];
    if (!groupsClaim && Array.isArray(unclaimed)) tellGroups('unclaimed', userId, unclaimed);
    // An identity provider may have a claim of that name which means something else, but none that is `false`.
    const presence = payload['presence'] === false ? { presence: false as const } : {};
    return { kind, userId, ...times, groups, ...presence, profile: readProfile(payload) };
  }

  return {
    staleKeysSeconds: () => Math.floor((user.staleMs?.() ?? 0) / 1_000),
    async verify(given) {
      const token = withoutScheme(given);
      if (!token) throw new GroupcastError('TOKEN_MISSING', 'unable to authenticate; no token was given');
      const read = readToken(token);
      if (!read) {
        const error = new errors.JWSInvalid('not a compact JWT');
        throw invalid(explainRefusal(error, user.with) as TokenRefusal, true);
      }
      const audiences = claimedAudiences(read);
      if (OUR_SERVICE_AUDIENCES.some((ours) => audiences.includes(ours))) {
        throw invalid(new TokenRefusal('purpose', 'it is a service token, not a user token'), false);
      }
      const kind = audiences.includes(AUDIENCE.connection) ? 'connection' : 'user';
      const { check, groupsClaim, with: checkedWith } = kind === 'connection' ? connection : user;
      const { payload, expired } = await check(token, read).catch((error: unknown) => {
        const refusal = explainRefusal(error, checkedWith);
        throw notYet(error) ?? (refusal ? invalid(refusal, true) : error);
      });
      let claims: UserClaims;
      try {
        claims = readClaims(kind, payload, groupsClaim);
      } catch (error) {
        throw error instanceof TokenRefusal ? invalid(error, false) : error;
      }
      if (expired) {
        throw new GroupcastError('TOKEN_EXPIRED', 'unable to accept the token; token expired, log in again', {
          cause: new TokenOver(claims.userId),
        });
      }
      return claims;
    },
  };
}
