import { AUDIENCE, DEFAULT_USER_CLAIM, isClaimPath } from '@groupcast/shared';
import { resolveDataDir, useDevelopmentSecrets } from './data-dir.ts';
import type { Environment } from './environment.ts';

/** Settings for the verification of user and connection tokens; the fields are those of the token verifier. */
export interface TokenConfig {
  secret: string | undefined;
  previousSecret: string | undefined;
  jwksUrl: string | undefined;
  issuer: string | undefined;
  audience: string | undefined;
  groupsClaim: string | undefined;
  /** The claim that names the user: `sub`, or a path such as `user.id`. */
  userClaim: string;
  connectionSecret: string;
  previousConnectionSecret: string | undefined;
  /** Most seconds by which the clocks of the issuer of tokens, of the API and of the relay may differ. */
  clockSkewSeconds: number;
  /** How long the keys of a JWKS are used that cannot be read again. */
  maxStaleKeysSeconds: number;
  /** Whether an answer says what is wrong with a token; the log always does. */
  explain: boolean;
}

export interface RelaySecrets {
  secret: string;
  previousSecret: string | undefined;
}

/** Fills a missing secret from `DATA_DIR` in development, and reports it missing in production. */
function orGenerated(
  env: Environment,
  name: string,
  value: string | undefined,
  pick: (secrets: ReturnType<typeof useDevelopmentSecrets>) => string,
): string {
  if (value !== undefined) return value;
  if (env.production) {
    env.problem(`${name} is missing`, 'VARIABLE_MISSING');
    return '';
  }
  try {
    return pick(useDevelopmentSecrets(resolveDataDir(env.text('DATA_DIR'))));
  } catch (error) {
    env.problem(
      `DATA_DIR cannot hold the generated ${name}: ${error instanceof Error ? error.message : String(error)}`,
    );
    return '';
  }
}

/** `RELAY_SERVICE_SECRET` and its predecessor. */
export function readRelaySecrets(env: Environment): RelaySecrets {
  return {
    secret: orGenerated(env, 'RELAY_SERVICE_SECRET', env.secret('RELAY_SERVICE_SECRET'), (s) => s.relayServiceSecret),
    previousSecret: env.secret('RELAY_SERVICE_SECRET_PREVIOUS'),
  };
}

/**
 * The variables of docs/reference/tokens.md, checked against each other. Both services read them the same way. `usersHaveTokens`: false
 * where no user's token is verified, so that none of their secrets is needed.
 */
export function readTokenConfig(
  env: Environment,
  { usersHaveTokens = true }: { usersHaveTokens?: boolean } = {},
): { tokens: TokenConfig; relaySecrets: RelaySecrets } {
  const jwksUrl = env.url('JWT_JWKS_URL', ['https:', 'http:'], {
    carries: 'the keys that user tokens are checked with',
  });
  const givenSecret = env.secret('JWT_SECRET');
  const isNeeded = usersHaveTokens && !jwksUrl;
  const secret = !isNeeded ? givenSecret : orGenerated(env, 'JWT_SECRET', givenSecret, (s) => s.jwtSecret);
  const previousSecret = env.secret('JWT_SECRET_PREVIOUS');
  const connectionSecret = env.secret('CONNECTION_TOKEN_SECRET');
  const previousConnectionSecret = env.secret('CONNECTION_TOKEN_SECRET_PREVIOUS');
  if (usersHaveTokens && jwksUrl && connectionSecret === undefined)
    env.problem('CONNECTION_TOKEN_SECRET must be set with JWT_JWKS_URL', 'VARIABLE_MISSING');
  const audience = env.text('JWT_AUDIENCE');
  if (audience !== undefined && Object.values(AUDIENCE).some((ours) => ours === audience)) {
    env.problem(`JWT_AUDIENCE must be none of ${Object.values(AUDIENCE).join(', ')}, got "${audience}"`);
  }
  if (usersHaveTokens && jwksUrl && env.production && audience === undefined) {
    env.warning(
      'JWT_AUDIENCE is not set: with JWT_JWKS_URL, tokens that the identity provider made for other applications are accepted',
    );
  }
  const groupsClaim = env.text('JWT_GROUPS_CLAIM');
  if (groupsClaim !== undefined && !jwksUrl) env.problem('JWT_GROUPS_CLAIM needs JWT_JWKS_URL', 'VARIABLE_MISSING');
  const userClaim = env.text('JWT_USER_CLAIM') ?? DEFAULT_USER_CLAIM;
  if (!isClaimPath(userClaim)) {
    env.problem(`JWT_USER_CLAIM must be the name of a claim, or a path such as user.id, got "${userClaim}"`);
  }

  const tokens: TokenConfig = {
    secret,
    previousSecret,
    jwksUrl,
    issuer: env.text('JWT_ISSUER'),
    audience,
    groupsClaim,
    userClaim,
    connectionSecret: connectionSecret ?? secret ?? '',
    previousConnectionSecret: previousConnectionSecret ?? (connectionSecret ? undefined : previousSecret),
    clockSkewSeconds: env.integer('JWT_CLOCK_SKEW_SECONDS', 10, { min: 0, max: 300 }),
    maxStaleKeysSeconds: env.integer('JWT_JWKS_MAX_STALE_SECONDS', 86_400, { min: 600, max: 2_592_000 }),
    explain: !env.production,
  };
  const relaySecrets = readRelaySecrets(env);

  const userSide = {
    JWT_SECRET: tokens.secret,
    JWT_SECRET_PREVIOUS: previousSecret,
    CONNECTION_TOKEN_SECRET: connectionSecret,
    CONNECTION_TOKEN_SECRET_PREVIOUS: previousConnectionSecret,
  };
  const serviceSide = {
    RELAY_SERVICE_SECRET: relaySecrets.secret,
    RELAY_SERVICE_SECRET_PREVIOUS: relaySecrets.previousSecret,
  };
  for (const [serviceName, serviceValue] of Object.entries(serviceSide)) {
    for (const [userName, userValue] of Object.entries(userSide)) {
      if (serviceValue && serviceValue === userValue)
        env.problem(`${serviceName} must differ from ${userName}`, 'SECRET_REUSED');
    }
  }
  return { tokens, relaySecrets };
}
