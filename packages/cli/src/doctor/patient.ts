import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Environment,
  type RedisTarget,
  type RelaySecrets,
  readEnvironment,
  readHost,
  readOrigins,
  readRedisPrefix,
  readRedisUrl,
  readRelaySecrets,
  readRelayWsPath,
  readTokenConfig,
  readTokenPlaces,
  resolveDataDir,
  type TokenConfig,
  type TokenPlace,
  urlOfHost,
} from '@groupcast/service-kit';
import { AUDIENCE, type ServiceScope } from '@groupcast/shared';
import { signConnectionToken, signServiceToken } from '@groupcast/tokens';
import type { Variables } from '../command.ts';
import { readUrl, secretSource } from '../settings.ts';
import { signConfiguredUserToken } from '../user-tokens.ts';

/** The part of the command line that says where things are. */
export interface Whereabouts {
  apiUrl?: string | undefined;
  relayUrl?: string | undefined;
  publicUrl?: string | undefined;
  /** Public URLs of further relays. */
  relays: readonly string[];
  /** Internal URLs of relays. */
  nodes: readonly string[];
  origin?: string | undefined;
  groupId?: string | undefined;
  /** The message that did not arrive, and for whom. */
  message?: { id: string; userId?: string | undefined } | undefined;
  serviceTokens: readonly string[];
}

/** The installation that is examined, as far as this machine knows it. */
export interface Patient {
  /** Without one there is no API. `assumed`: nobody named it. */
  api: { url: string; assumed: boolean } | undefined;
  relayUrl: string;
  /** Where browsers find the relay, where somebody said so. */
  publicUrl: string | undefined;
  relays: readonly string[];
  /** Internal ports of relays; the first one belongs to `relayUrl`. `assumed`: nobody named it. */
  nodes: readonly { url: string; assumed: boolean }[];
  origin: string | undefined;
  groupId: string | undefined;
  message: Whereabouts['message'];
  wsPath: string | undefined;
  databaseUrl: string | undefined;
  redis: RedisTarget | undefined;
  redisPrefix: string;
  /** Known where this machine has the secret, and not only a token. */
  relaySecrets: RelaySecrets | undefined;
  skewMs: number;
  /** Where the secrets come from, in words. */
  secretSource: string;
  /** Returns a token for this audience; `undefined` where none is known. */
  serviceToken(audience: 'relay' | 'api', scopes: readonly ServiceScope[]): Promise<string | undefined>;
  /** How tokens of users are made; undefined: this machine cannot make any. */
  users: UserTokens | undefined;
  timeoutMs: number;
  warnings: readonly string[];
}

export interface UserTokens {
  /** A connection token says nothing to the API. */
  kind: 'user' | 'connection';
  /** Where its secret comes from, in words. */
  source: string;
  /** Whether the secret lay on this machine and was not configured, so that it may belong to another installation. */
  isGuess: boolean;
  places: readonly TokenPlace[];
  sign(userId: string, groups: readonly string[]): Promise<string>;
}

const TOKEN_SECONDS = 300;

/** The services read these even where a URL says where they are. */
function readPorts(env: Environment): void {
  env.port('API_PORT', 3_000, 'PORT');
  env.port('RELAY_PORT', 3_001);
  env.port('API_INTERNAL_PORT', 3_003);
  env.port('RELAY_INTERNAL_PORT', 3_002);
}

function readApi(env: Environment, { apiUrl, relayUrl }: Whereabouts): Patient['api'] {
  if (apiUrl !== undefined) return { url: apiUrl, assumed: false };
  const named = env.text('API_URL', { keepEmpty: true });
  if (named === '') return undefined;
  const isElsewhere = relayUrl !== undefined || env.text('RELAY_URL') !== undefined;
  return { url: readUrl(env, 'API', 3_000, 'PORT'), assumed: named === undefined && isElsewhere };
}

function readNodes(env: Environment, { nodes, relayUrl }: Whereabouts): Patient['nodes'] {
  if (nodes.length > 0) return nodes.map((url) => ({ url, assumed: false }));
  const named = env.serviceUrl('RELAY_INTERNAL_URL');
  if (named !== undefined) return [{ url: named, assumed: false }];
  const isLocal = env.text('RELAY_INTERNAL_PORT') !== undefined;
  const isElsewhere = relayUrl !== undefined || env.text('RELAY_URL') !== undefined;
  if (isElsewhere && !isLocal) return [];
  const port = env.port('RELAY_INTERNAL_PORT', 3_002) || 3_002;
  return [{ url: urlOfHost(readHost(env, 'RELAY_INTERNAL_HOST', '127.0.0.1'), port), assumed: !isLocal }];
}

/** Reads tokens that were given: each is for the audience that it names itself. */
function readGiven(texts: readonly string[], problem: (text: string) => void): ReadonlyMap<string, string> {
  const tokens = new Map<string, string>();
  for (const text of texts) {
    const token = text.startsWith('@') ? readFileSync(text.slice(1), 'utf8').trim() : text;
    try {
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { aud?: unknown };
      tokens.set(claims.aud === AUDIENCE.api ? 'api' : 'relay', token);
    } catch {
      problem('--service-token must be a token as groupcast token prints it, or @ and the name of its file');
    }
  }
  return tokens;
}

function signerOf(tokens: TokenConfig): Pick<UserTokens, 'kind' | 'sign'> {
  if (!tokens.jwksUrl) {
    const sign: UserTokens['sign'] = async (userId, groups) =>
      (await signConfiguredUserToken(tokens, { userId, groups, ttlSeconds: TOKEN_SECONDS })).token;
    return { kind: 'user', sign };
  }
  return {
    kind: 'connection',
    async sign(userId, groups) {
      const issuedAt = Math.floor(Date.now() / 1_000);
      const user = {
        kind: 'user' as const,
        userId,
        issuedAt,
        expiresAt: issuedAt + TOKEN_SECONDS,
        groups: [...groups],
        profile: {},
      };
      return (await signConnectionToken({ secret: tokens.connectionSecret, user, groups, issuedAt })).token;
    },
  };
}

/** Whether this machine knows how tokens of users are signed, and how sure that is. */
function userSecretOf(env: Environment, source: Variables, hasServiceSecret: boolean): 'known' | 'guessed' | 'unknown' {
  if (env.oneOf('AUTH_BY', 'token', ['token', 'back-end'] as const) === 'back-end') return 'unknown';
  if (env.text('JWT_SECRET') !== undefined || env.text('JWT_JWKS_URL') !== undefined) return 'known';
  if (env.production) return hasServiceSecret ? 'unknown' : 'known';
  if (!hasServiceSecret) return 'known';
  return existsSync(join(resolveDataDir(source['DATA_DIR']), 'secrets.json')) ? 'guessed' : 'unknown';
}

/** Reads the environment as `npm start` and the services do. Throws `ConfigurationError` naming every variable that is wrong. */
export function readPatient(source: Variables, where: Whereabouts, timeoutMs: number): Patient {
  const env = readEnvironment(source);
  readPorts(env);
  const origins = readOrigins(env);
  const given = readGiven(where.serviceTokens, (text) => env.problem(text));
  const hasGiven = given.size > 0;
  const userSecret = userSecretOf(env, source, hasGiven || env.text('RELAY_SERVICE_SECRET') !== undefined);
  const config = userSecret === 'unknown' ? undefined : readTokenConfig(env);
  const relaySecrets = hasGiven ? undefined : (config?.relaySecrets ?? readRelaySecrets(env));
  const places = readTokenPlaces(env, { service: 'relay', origins });
  const firstOrigin = typeof origins === 'string' ? undefined : origins.find((origin) => !origin.includes('*'));
  const patient: Patient = {
    api: readApi(env, where),
    relayUrl: where.relayUrl ?? readUrl(env, 'RELAY', 3_001),
    publicUrl: where.publicUrl ?? env.serviceUrl('RELAY_PUBLIC_URL'),
    relays: where.relays,
    nodes: readNodes(env, where),
    origin: where.origin ?? firstOrigin,
    groupId: where.groupId,
    message: where.message,
    wsPath: readRelayWsPath(env),
    databaseUrl: env.url('DATABASE_URL', ['postgres:', 'postgresql:']),
    redis: readRedisUrl(env),
    redisPrefix: readRedisPrefix(env),
    relaySecrets,
    skewMs: env.integer('JWT_CLOCK_SKEW_SECONDS', 10, { min: 0, max: 300 }) * 1_000,
    secretSource: hasGiven ? 'the token that was given' : secretSource(source, 'RELAY_SERVICE_SECRET'),
    async serviceToken(audience, scopes) {
      if (!relaySecrets) return given.get(audience);
      return signServiceToken({
        secret: relaySecrets.secret,
        scopes,
        audience: AUDIENCE[audience],
        subject: 'groupcast-doctor',
      });
    },
    users: config && {
      ...signerOf(config.tokens),
      source: config.tokens.jwksUrl
        ? 'CONNECTION_TOKEN_SECRET of this environment'
        : secretSource(source, 'JWT_SECRET'),
      isGuess: userSecret === 'guessed',
      places,
    },
    timeoutMs,
    warnings: env.warnings,
  };
  env.assertValid();
  return patient;
}
