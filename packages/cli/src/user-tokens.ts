import type { TokenConfig } from '@groupcast/service-kit';
import { signUserToken } from '@groupcast/tokens';
import { CommandFailure } from './command.ts';

export interface UserTokenRequest {
  userId: string;
  ttlSeconds: number;
  groups?: readonly string[];
  name?: string;
}

/**
 * Signs a user token that the services of the same configuration accept. Throws a `CommandFailure` with a JWKS, whose
 * private key is the identity provider's.
 */
export async function signConfiguredUserToken(
  tokens: TokenConfig,
  request: UserTokenRequest,
): Promise<{ token: string; expiresAt: number }> {
  if (tokens.jwksUrl) {
    throw new CommandFailure(
      'unable to sign a user token; with JWT_JWKS_URL only the identity provider can. Log in there, or unset JWT_JWKS_URL',
    );
  }
  return signUserToken({
    ...request,
    secret: tokens.secret ?? '',
    userClaim: tokens.userClaim,
    ...(tokens.issuer ? { issuer: tokens.issuer } : {}),
    ...(tokens.audience ? { audience: tokens.audience } : {}),
  });
}
