import { findToken, type Origins, type TokenPlace, tokenMissing } from '@groupcast/service-kit';
import {
  GroupcastError,
  handshakeSchema,
  hasMoreKeysThan,
  type Position,
  parsePayload,
  parseUserId,
  positionsSchema,
  type ServiceScope,
  type UserClaims,
} from '@groupcast/shared';
import { type ServiceTokenVerifier, TokenOver, type UserTokenVerifier } from '@groupcast/tokens';
import type { DialectConfig } from '../dialect-config.ts';
import type { Removals } from '../membership/removals.ts';
import { setOfUndecided } from '../membership/undecided-claims.ts';
import { NO_MARK } from '../sessions/marks.ts';
import type { RelaySocket, ServiceSession, Session } from '../sessions/session.ts';
import type { BackEndSignIn } from './back-end-sign-in.ts';
import { chooseDialect } from './choose-dialect.ts';

const REQUIRED_SCOPE: Readonly<Record<ServiceSession['role'], ServiceScope>> = { api: 'broadcast', monitor: 'monitor' };
const NO_POSITIONS: ReadonlyMap<string, Position> = new Map();
const QUERY_NAMES = ['token', 'access_token', 'auth'];

/** Whether a query has a parameter for a token that none of the places lists. */
export function hasUnlistedToken(query: Readonly<Record<string, unknown>>, places: readonly TokenPlace[]): boolean {
  const isListed = (name: string): boolean => places.some((place) => place.kind === 'query' && place.name === name);
  return QUERY_NAMES.some((name) => query[name] !== undefined && !isListed(name));
}

const EXPIRED = 'token expired, log in again';

/**
 * Whether a token has ended, by this relay's clock, as a session does with its token: a token that has just ended one session opens no
 * other, however much clocks may differ. (The verifiers allow for that difference. A client with an old token would be let in and closed
 * again until they do not.)
 */
function hasEnded({ expiresAt }: { expiresAt: number }): boolean {
  return expiresAt <= Date.now() / 1_000;
}

/** Many clients say in the handshake who they are. It is compared with the token and never believed. */
function assertSameUser(claims: UserClaims, { userId }: Record<string, unknown>): void {
  if (userId === undefined || userId === null || parseUserId(userId) === claims.userId) return;
  throw new GroupcastError(
    'FORBIDDEN',
    'unable to connect; auth.userId is not the user that the token names: leave it out, or log in again',
  );
}

/** Finds the token: a user's in one of the places that are listed, that of a back end or monitor in `auth`, where no browser puts it by itself. */
function readHandshake(
  { handshake: { headers, query, auth } }: RelaySocket,
  { tokenPlaces, origins }: { tokenPlaces: readonly TokenPlace[]; origins: Origins },
): { type: 'user' | ServiceSession['role']; token: string | undefined } {
  if (hasUnlistedToken(query, tokenPlaces)) {
    throw new GroupcastError(
      'TOKEN_IN_QUERY',
      'unable to authenticate; tokens in a URL end up in logs, send it as auth: { token }',
    );
  }
  const { token: inAuth, type: rawType } = auth as Record<string, unknown>;
  const isService = rawType === 'api' || rawType === 'monitor';
  const found = isService ? inAuth : findToken(tokenPlaces, { headers, query, auth: inAuth }, origins);
  // A fault of the token itself is for the verifiers to report, with the code of the connection's type.
  const token = typeof found === 'string' || found === undefined || found === null ? found : '-';
  const parsed = handshakeSchema.safeParse({ type: rawType, token: token ?? undefined });
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.join('.') || 'auth';
    const tooLong = field === 'token';
    throw new GroupcastError(
      tooLong ? 'TOKEN_INVALID' : 'INVALID_PAYLOAD',
      `unable to authenticate; ${field} is malformed`,
    );
  }
  return { type: parsed.data.type, token: parsed.data.token };
}

export interface Authenticator {
  /** Tells whose connection it is. Looks at what says so, and at nothing else of the handshake. Throws with the code that the client is told. */
  handshake(socket: RelaySocket): Promise<Session>;
  /** Reads the positions that came with a handshake; call it once the token is known. Throws `GROUP_LIMIT` or `INVALID_PAYLOAD`. */
  positions(socket: RelaySocket): ReadonlyMap<string, Position>;
  /** Tells whose token this is, for a live connection from `address`. */
  user(token: string | undefined, address: string): Promise<UserClaims>;
  service(token: string | undefined, role: ServiceSession['role']): Promise<ServiceSession['claims']>;
}

export function createAuthenticator(options: {
  /** Undefined where `signIn` says who users are. */
  users: UserTokenVerifier | undefined;
  services: ServiceTokenVerifier;
  removals: Removals;
  /** Most positions in one handshake. */
  maxGroups: number;
  tokenPlaces: readonly TokenPlace[];
  dialects: DialectConfig;
  origins: Origins;
  /** Says who a user is, in place of tokens. */
  signIn?: BackEndSignIn | undefined;
}): Authenticator {
  const { signIn } = options;
  // With a back end that is asked, no token is looked for: it gets what the client sent.
  const tokenPlaces = signIn ? [] : options.tokenPlaces;

  /** Checks against this relay's clock and against revocations, which verifiers and back ends do not know. */
  function assertLive(claims: UserClaims): UserClaims {
    if (hasEnded(claims)) {
      throw new GroupcastError('TOKEN_EXPIRED', `unable to accept the token; ${EXPIRED}`, {
        cause: new TokenOver(claims.userId),
      });
    }
    if (options.removals.isRevoked(claims.userId, claims.issuedAt)) {
      throw new GroupcastError('TOKEN_REVOKED', 'unable to accept the token; it was revoked, log in again', {
        cause: new TokenOver(claims.userId),
      });
    }
    return claims;
  }

  async function verify(token: string | undefined): Promise<UserClaims> {
    if (!options.users) throw new Error('no tokens of users are verified here');
    return options.users.verify(token);
  }

  async function userOf({ handshake }: RelaySocket, token: string | undefined): Promise<UserClaims> {
    if (signIn) return assertLive(await signIn.connect(handshake));
    if (token === undefined) throw tokenMissing(tokenPlaces);
    return assertLive(await verify(token));
  }

  const authenticator: Authenticator = {
    async handshake(socket) {
      const { type, token } = readHandshake(socket, { tokenPlaces, origins: options.origins });
      if (type !== 'user') {
        return { kind: 'service', role: type, claims: await authenticator.service(token, type) };
      }
      const claims = await userOf(socket, token);
      assertSameUser(claims, socket.handshake.auth);
      const { query, headers } = socket.handshake;
      const dialect = chooseDialect(options.dialects, { query, headers });
      return {
        kind: 'user',
        userId: claims.userId,
        claims,
        groups: new Map(),
        pinged: NO_MARK,
        proven: NO_MARK,
        joining: undefined,
        undecided: setOfUndecided([]),
        ...(dialect ? { dialect } : {}),
        ...(socket.handshake.auth['notifications'] === true ? { notifies: true } : {}),
      };
    },
    positions({ handshake }) {
      const { positions } = handshake.auth as Record<string, unknown>;
      if (positions === undefined) return NO_POSITIONS;
      if (typeof positions === 'object' && positions !== null && hasMoreKeysThan(positions, options.maxGroups)) {
        throw new GroupcastError('GROUP_LIMIT', `unable to connect; positions of at most ${options.maxGroups} groups`);
      }
      return parsePayload(positionsSchema, positions, 'positions');
    },
    async user(token, address) {
      return assertLive(await (signIn ? signIn.refresh(token, address) : verify(token)));
    },
    async service(token, role) {
      const claims = await options.services.verify(token);
      if (hasEnded(claims)) {
        throw new GroupcastError('SERVICE_TOKEN_INVALID', `unable to accept the service token; ${EXPIRED}`);
      }
      if (!claims.scopes.has(REQUIRED_SCOPE[role])) {
        const lacks = `unable to accept the service token; it lacks the scope "${REQUIRED_SCOPE[role]}"`;
        throw new GroupcastError('SERVICE_TOKEN_INVALID', lacks);
      }
      return claims;
    },
  };
  return authenticator;
}
