import {
  LOG_LEVELS,
  type Origins,
  type RelaySecrets,
  readEnvironment,
  readOrigins,
  readTokenConfig,
  resolveDataDir,
  type TokenConfig,
} from '@groupcast/service-kit';
import {
  type ApiLimits,
  type GroupBounds,
  INVITE_POLICIES,
  type InvitePolicy,
  readApiLimits,
  readGroupBounds,
} from './limits.ts';

export interface ApiConfig {
  production: boolean;
  logLevel: string;
  port: number;
  dataDir: string;
  /** Real PostgreSQL; without it the embedded one in `dataDir`. */
  databaseUrl: string | undefined;
  tokens: TokenConfig;
  relaySecrets: RelaySecrets;
  relayUrl: string;
  /** Where browsers find the relay. */
  relayPublicUrl: string;
  origins: Origins;
  demo: boolean;
  /** So many proxies in front of the API are believed; 0: the caller's address is the connection's. */
  trustedProxies: number;
  /** Largest event, in bytes of UTF-8 JSON: what the relay would refuse is refused before it is saved. */
  maxPayloadBytes: number;
  limits: ApiLimits;
  groupBounds: GroupBounds;
  /** What adding somebody to a group means. */
  groupInvites: InvitePolicy;
  drainMs: number;
}

/** Throws `ConfigurationError` naming every variable that is wrong. */
export function readApiConfig(source: Readonly<Record<string, string | undefined>>): ApiConfig {
  const env = readEnvironment(source);
  const { tokens, relaySecrets } = readTokenConfig(env);
  const demo = env.flag('DEMO') ?? false;
  if (demo && env.production) env.problem('DEMO must not be 1 with NODE_ENV=production');
  if (demo && tokens.jwksUrl)
    env.problem('DEMO must not be 1 with JWT_JWKS_URL: the demo signs tokens with JWT_SECRET');
  const relayUrl = env.url('RELAY_URL', ['http:', 'https:']) ?? 'http://localhost:3001';
  const config: ApiConfig = {
    production: env.production,
    logLevel: env.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    port: env.port('API_PORT', 3000),
    dataDir: resolveDataDir(env.text('DATA_DIR')),
    databaseUrl: env.url('DATABASE_URL', ['postgres:', 'postgresql:']),
    tokens,
    relaySecrets,
    relayUrl,
    relayPublicUrl: env.url('RELAY_PUBLIC_URL', ['http:', 'https:']) ?? relayUrl,
    origins: readOrigins(env),
    demo,
    trustedProxies: env.integer('TRUST_PROXY', 0, { min: 0, max: 16 }),
    maxPayloadBytes: env.integer('MAX_PAYLOAD_BYTES', 65_536, { min: 256, max: 16 * 1024 * 1024 }),
    limits: readApiLimits(env),
    groupBounds: readGroupBounds(env),
    groupInvites: env.oneOf('GROUP_INVITES', 'open', INVITE_POLICIES),
    drainMs: env.integer('SHUTDOWN_DRAIN_SECONDS', 8, { min: 0, max: 3_600 }) * 1_000,
  };
  env.assertValid();
  return config;
}
