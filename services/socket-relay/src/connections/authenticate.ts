import { GroupcastError, handshakeSchema, type Position, type ServiceScope, type UserClaims } from '@groupcast/shared';
import type { ServiceTokenVerifier, UserTokenVerifier } from '@groupcast/tokens';
import type { RelaySocket, ServiceSession, Session } from '../relay-server.ts';
import type { Removals } from './removals.ts';
import { setOfUndecided } from './undecided-claims.ts';

const REQUIRED_SCOPE: Readonly<Record<ServiceSession['role'], ServiceScope>> = { api: 'broadcast', monitor: 'monitor' };
const QUERY_NAMES = ['token', 'access_token', 'auth'];

export interface Authenticator {
  /** Who is at the door? Throws with the code the client is told. */
  handshake(socket: RelaySocket): Promise<{ session: Session; positions: ReadonlyMap<string, Position> }>;
  user(token: string | undefined): Promise<UserClaims>;
  service(token: string | undefined, role: ServiceSession['role']): Promise<ServiceSession['claims']>;
}

export function createAuthenticator(options: {
  users: UserTokenVerifier;
  services: ServiceTokenVerifier;
  removals: Removals;
}): Authenticator {
  const authenticator: Authenticator = {
    async handshake(socket) {
      const { query, auth } = socket.handshake;
      if (QUERY_NAMES.some((name) => query[name] !== undefined)) {
        throw new GroupcastError(
          'TOKEN_IN_QUERY',
          'unable to authenticate; tokens in a URL end up in logs, send it as auth: { token }',
        );
      }
      const { token: rawToken, ...rest } = auth as Record<string, unknown>;
      // What is wrong with a token itself is the verifiers' to say, with the code of the connection's type.
      const token = typeof rawToken === 'string' || rawToken === undefined || rawToken === null ? rawToken : '-';
      const parsed = handshakeSchema.safeParse({ ...rest, token: token ?? undefined });
      if (!parsed.success) {
        const field = parsed.error.issues[0]?.path.join('.') || 'auth';
        const tooLong = field === 'token';
        throw new GroupcastError(
          tooLong ? 'TOKEN_INVALID' : 'INVALID_PAYLOAD',
          `unable to authenticate; ${field} is malformed`,
        );
      }
      const { type, positions = new Map<string, Position>() } = parsed.data;
      if (type !== 'user') {
        const session: Session = {
          kind: 'service',
          role: type,
          claims: await authenticator.service(parsed.data.token, type),
        };
        return { session, positions };
      }
      const claims = await authenticator.user(parsed.data.token);
      const session: Session = {
        kind: 'user',
        userId: claims.userId,
        claims,
        groups: new Map(),
        joining: undefined,
        undecided: setOfUndecided([]),
      };
      return { session, positions };
    },
    async user(token) {
      const claims = await options.users.verify(token);
      if (options.removals.isRevoked(claims.userId, claims.issuedAt)) {
        throw new GroupcastError('TOKEN_REVOKED', 'unable to accept the token; it was revoked, log in again');
      }
      return claims;
    },
    async service(token, role) {
      const claims = await options.services.verify(token);
      if (!claims.scopes.has(REQUIRED_SCOPE[role])) {
        const lacks = `unable to accept the service token; it lacks the scope "${REQUIRED_SCOPE[role]}"`;
        throw new GroupcastError('SERVICE_TOKEN_INVALID', lacks);
      }
      return claims;
    },
  };
  return authenticator;
}
