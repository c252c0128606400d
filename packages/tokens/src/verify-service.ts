import {
  type AUDIENCE,
  GroupcastError,
  parseUserId,
  SERVICE_SCOPES,
  type ServiceClaims,
  type ServiceScope,
} from '@groupcast/shared';
import { errors } from 'jose';
import { readToken, secretKeys, type Verified, verifyHs256 } from './hs256.ts';
import { checkTimes } from './verify-jwt.ts';

export interface ServiceTokenVerifier {
  /** Throws `SERVICE_TOKEN_INVALID` whatever is wrong, `FORBIDDEN` when only the scope is missing. */
  verify(token: string | undefined, requiredScope?: ServiceScope): Promise<ServiceClaims>;
}

/** Verifies HS256 service tokens made for `audience`, at most 10 minutes long. */
export function createServiceTokenVerifier(options: {
  secret: string;
  previousSecret?: string | undefined;
  audience: typeof AUDIENCE.relay | typeof AUDIENCE.api;
}): ServiceTokenVerifier {
  const keys = secretKeys(options.secret, options.previousSecret);
  const invalid = (why: string, cause?: unknown): GroupcastError =>
    new GroupcastError('SERVICE_TOKEN_INVALID', `unable to accept the service token; ${why}`, { cause });

  const check = (token: string): Verified => {
    try {
      const read = readToken(token);
      if (!read) throw new errors.JWSInvalid('not a compact JWT');
      return verifyHs256(read, keys, { audience: options.audience });
    } catch (error) {
      throw invalid('its signature, algorithm, audience or claims are wrong', error);
    }
  };

  return {
    async verify(token, requiredScope) {
      if (!token) throw invalid('none was given');
      const { payload, expired } = check(token);
      if (expired) throw invalid('it has expired');
      const times = checkTimes(payload, true);
      if (typeof times === 'string') throw invalid(times);
      const subject = parseUserId(payload.sub);
      if (subject === undefined) throw invalid('its sub is not a valid name');
      const named = typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : [];
      const scopes = new Set(SERVICE_SCOPES.filter((scope) => named.includes(scope)));
      if (requiredScope && !scopes.has(requiredScope)) {
        throw new GroupcastError(
          'FORBIDDEN',
          `unable to serve the request; the token lacks the scope "${requiredScope}"`,
        );
      }
      return { kind: 'service', subject, ...times, scopes };
    },
  };
}
