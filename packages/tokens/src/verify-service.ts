import {
  type AUDIENCE,
  GroupcastError,
  parseUserId,
  SERVICE_SCOPES,
  type ServiceClaims,
  type ServiceScope,
} from '@groupcast/shared';
import { errors } from 'jose';
import {
  createSignatureCheck,
  DEFAULT_CLOCK_SKEW_SECONDS,
  readToken,
  rememberSignatures,
  secretKeys,
  type Verified,
  verifyHs256,
} from './hs256.ts';
import { explainRefusal, TokenRefusal, withoutScheme } from './token-refusal.ts';
import { checkTimes, expiredRefusal } from './verify-jwt.ts';

/** Tokens whose signature is remembered: there are about as many as services, and each is sent many times a minute. */
const REMEMBERED_TOKENS = 100;

export interface ServiceTokenVerifier {
  /** Throws `FORBIDDEN` when only the scope is missing, and `SERVICE_TOKEN_INVALID` for every other fault. */
  verify(token: string | undefined, requiredScope?: ServiceScope): Promise<ServiceClaims>;
}

/** Trusted back ends learn what is wrong with their tokens, as text and as `details.fault`, since they have to repair it. */
function invalid(refusal: TokenRefusal): GroupcastError {
  return new GroupcastError('SERVICE_TOKEN_INVALID', `unable to accept the service token; ${refusal.message}`, {
    cause: refusal,
    details: { fault: refusal.fault },
  });
}

/** Verifies HS256 service tokens made for `audience`, at most 10 minutes long. */
export function createServiceTokenVerifier(options: {
  secret: string;
  previousSecret?: string | undefined;
  audience: typeof AUDIENCE.relay | typeof AUDIENCE.api;
  /** Most seconds by which the clocks of the two machines may differ. */
  clockSkewSeconds?: number | undefined;
}): ServiceTokenVerifier {
  const { audience, clockSkewSeconds = DEFAULT_CLOCK_SKEW_SECONDS } = options;
  const keys = secretKeys(options.secret, options.previousSecret);
  const isSigned = rememberSignatures(createSignatureCheck(keys), REMEMBERED_TOKENS);
  const checked = {
    key: 'RELAY_SERVICE_SECRET: compare it on both sides',
    algorithms: 'HS256',
    audience: `${audience}: it was made for something else`,
  };

  function check(token: string): Verified {
    try {
      const unverified = readToken(token);
      if (!unverified) throw new errors.JWSInvalid('not a compact JWT');
      return verifyHs256(unverified, isSigned, { audience, clockSkewSeconds });
    } catch (error) {
      throw explainRefusal(error, checked) ?? error;
    }
  }

  function read(given: string | undefined): Omit<ServiceClaims, 'kind'> {
    const token = withoutScheme(given);
    if (!token) throw new TokenRefusal('missing', 'none was given');
    const { payload, expired } = check(token);
    if (expired) throw expiredRefusal(payload);
    const times = checkTimes(payload, { short: true, clockSkewSeconds });
    const subject = parseUserId(payload.sub);
    if (subject === undefined) throw new TokenRefusal('sub', 'its sub is not a valid name');
    const named = typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : [];
    return { subject, ...times, scopes: new Set(SERVICE_SCOPES.filter((scope) => named.includes(scope))) };
  }

  return {
    async verify(token, requiredScope) {
      try {
        const claims = read(token);
        if (requiredScope && !claims.scopes.has(requiredScope)) {
          throw new GroupcastError(
            'FORBIDDEN',
            `unable to serve the request; the token lacks the scope "${requiredScope}"`,
          );
        }
        return { kind: 'service', ...claims };
      } catch (error) {
        throw error instanceof TokenRefusal ? invalid(error) : error;
      }
    },
  };
}
