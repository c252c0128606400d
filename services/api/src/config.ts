import type { Dialect } from '@groupcast/dialects';
import {
  type Environment,
  isLoopbackName,
  LOG_LEVELS,
  MAX_CONNECTIONS,
  type Origins,
  type RelaySecrets,
  readEnvironment,
  readHost,
  readHostNames,
  readOrigins,
  readRelayWsPath,
  readTokenConfig,
  readTokenPlaces,
  readTracingConfig,
  resolveDataDir,
  type TokenConfig,
  type TokenPlace,
  type TracingConfig,
} from '@groupcast/service-kit';
import { type AbsenceConfig, readAbsenceConfig } from './absence-config.ts';
import { problemOfPostgresUrl } from './db/postgres-url.ts';
import { readApiDialects } from './dialects.ts';
import { type IceConfig, readIceConfig } from './ice-config.ts';
import {
  type ApiLimits,
  type GroupBounds,
  INVITE_POLICIES,
  type InvitePolicy,
  readApiLimits,
  readGroupBounds,
} from './limits.ts';

const POSTGRES = ['postgres:', 'postgresql:'];

export interface ApiConfig {
  production: boolean;
  /** Settings that are allowed and risky, for the log at start. */
  warnings: readonly string[];
  logLevel: string;
  tracing: TracingConfig;
  /** The address on which the port listens; `localhost` stands for loopback in both families. */
  host: string;
  port: number;
  /** The port for operators and relays, with metrics and `/internal/*`. */
  internalPort: number;
  internalHost: string;
  /** Names beside addresses under which the internal port answers without a token; see `createHostGate`. */
  internalNames: readonly string[];
  dataDir: string;
  /** The URL of a PostgreSQL server; without it the embedded one in `dataDir` is used. */
  databaseUrl: string | undefined;
  /** The URL from which notifications come, if not from `databaseUrl`. */
  databaseListenUrl: string | undefined;
  /** Whether statements are prepared; undefined means unless a pooler is in between. */
  preparedStatements: boolean | undefined;
  tokens: TokenConfig;
  /** Where a user's token is looked for in a request. */
  tokenPlaces: readonly TokenPlace[];
  relaySecrets: RelaySecrets;
  relayUrl: string;
  /** The URL at which browsers find the relay; undefined: the one by which they reached the API, which passes the relay's requests on. */
  relayPublicUrl: string | undefined;
  /** Whether the public port serves the relay's paths as well. */
  relayProxy: boolean;
  /** Whether these are those of the broadcast API too. */
  publicBroadcastApi: boolean;
  /** The dialects whose routes the public port serves. */
  dialects: readonly Dialect[];
  /** The path of the relay's raw door, which is one of them. */
  relayWsPath: string | undefined;
  origins: Origins;
  demo: boolean;
  /** How many proxies in front of the API are believed; with 0 the caller's address is the connection's. */
  trustedProxies: number;
  /** Largest event, in bytes of UTF-8 JSON: what the relay would refuse is refused before it is saved. */
  maxPayloadBytes: number;
  /** Open connections; the descriptors of the process may allow fewer. */
  maxConnections: number;
  limits: ApiLimits;
  groupBounds: GroupBounds;
  /** The meaning of adding another user to a group. */
  groupInvites: InvitePolicy;
  /** Days after which history is removed; undefined: never. */
  retentionDays: number | undefined;
  /** The servers for calls. */
  ice: IceConfig;
  /** The webhook that is told who has not got a message; undefined: none is. */
  absences: AbsenceConfig | undefined;
  drainMs: number;
}

/** Whether there are clients that send a message by socket and the same one by HTTP. */
export function pairsCopies({ dialects }: Pick<ApiConfig, 'dialects'>): boolean {
  return dialects.some(({ sendsByHttpToo }) => sendsByHttpToo);
}

/** Checks the URL by itself: a password that is not encoded would change the host, or fail only at the first connection. */
function readDatabaseUrl(env: Environment, name: string): string | undefined {
  const text = env.text(name);
  const isPostgres = POSTGRES.some((protocol) => text?.startsWith(`${protocol}//`));
  const problem = text !== undefined && isPostgres ? problemOfPostgresUrl(text) : undefined;
  if (problem === undefined) return env.url(name, POSTGRES);
  env.problem(`${name} ${problem}`);
  return undefined;
}

/** In production the embedded database has to be asked for, together with its folder. */
function readDatabase(env: Environment): Pick<ApiConfig, 'databaseUrl' | 'databaseListenUrl' | 'preparedStatements'> {
  const databaseUrl = readDatabaseUrl(env, 'DATABASE_URL');
  const databaseListenUrl = readDatabaseUrl(env, 'DATABASE_LISTEN_URL');
  const preparedStatements = env.flag('DATABASE_PREPARED_STATEMENTS');
  const embedded = env.flag('EMBEDDED_DATABASE');
  if (env.text('DATABASE_URL') !== undefined) {
    if (embedded) env.problem('EMBEDDED_DATABASE must not be 1 with DATABASE_URL', 'VARIABLES_CONFLICT');
  } else if (!(embedded ?? !env.production)) {
    env.problem(
      'DATABASE_URL must be set, or EMBEDDED_DATABASE=1 and DATA_DIR for the embedded database',
      'VARIABLE_MISSING',
    );
  } else {
    env.requireInProduction('DATA_DIR');
  }
  if (env.text('DATABASE_URL') === undefined && env.text('DATABASE_LISTEN_URL') !== undefined) {
    env.problem('DATABASE_LISTEN_URL must not be set without DATABASE_URL', 'VARIABLES_CONFLICT');
  }
  return { databaseUrl, databaseListenUrl, preparedStatements };
}

/** Throws `ConfigurationError` naming every variable that is wrong. */
export function readApiConfig(
  source: Readonly<Record<string, string | undefined>>,
  env: Environment = readEnvironment(source),
): ApiConfig {
  const { tokens, relaySecrets } = readTokenConfig(env);
  const origins = readOrigins(env);
  const demo = env.flag('DEMO') ?? false;
  if (demo && env.production) env.problem('DEMO must not be 1 with NODE_ENV=production', 'VARIABLES_CONFLICT');
  if (demo && tokens.jwksUrl)
    env.problem('DEMO must not be 1 with JWT_JWKS_URL: the demo signs tokens with JWT_SECRET', 'VARIABLES_CONFLICT');
  // Both defaults name a port of this machine, which in production may belong to another program.
  const relayProxy = env.flag('API_RELAY_PROXY') ?? false;
  env.requireInProduction('RELAY_URL', ...(relayProxy ? [] : ['RELAY_PUBLIC_URL']));
  const relayUrl = env.serviceUrl('RELAY_URL', { carries: 'service tokens and messages' }) ?? 'http://localhost:3001';
  const relayPublicUrl = env.serviceUrl('RELAY_PUBLIC_URL', { carries: 'the tokens and messages of users' });
  const host = readHost(env, 'API_HOST');
  if (demo && !isLoopbackName(host)) {
    env.warning(
      `DEMO is 1 and API_HOST is ${host}: anybody who reaches this port logs in as anybody, without a password`,
    );
  }
  const relayWsPath = readRelayWsPath(env);
  const config: ApiConfig = {
    production: env.production,
    warnings: env.warnings,
    logLevel: env.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    tracing: readTracingConfig(env),
    host,
    port: env.port('API_PORT', 3000, 'PORT'),
    internalPort: env.port('API_INTERNAL_PORT', 3003),
    internalHost: readHost(env, 'API_INTERNAL_HOST', '127.0.0.1'),
    internalNames: readHostNames(env, 'API_INTERNAL_NAMES'),
    dataDir: resolveDataDir(env.text('DATA_DIR')),
    ...readDatabase(env),
    tokens,
    tokenPlaces: readTokenPlaces(env, { service: 'api', origins }),
    relaySecrets,
    relayUrl,
    relayPublicUrl: relayPublicUrl ?? (relayProxy ? undefined : relayUrl),
    relayProxy,
    publicBroadcastApi: env.flag('PUBLIC_BROADCAST_API') ?? false,
    dialects: readApiDialects(env, relayWsPath),
    relayWsPath,
    origins,
    demo,
    trustedProxies: env.integer('TRUST_PROXY', 0, { min: 0, max: 16 }),
    maxPayloadBytes: env.integer('MAX_PAYLOAD_BYTES', 65_536, { min: 256, max: 16 * 1024 * 1024 }),
    maxConnections: env.integer('MAX_CONNECTIONS', MAX_CONNECTIONS.max, MAX_CONNECTIONS),
    limits: readApiLimits(env),
    groupBounds: readGroupBounds(env),
    groupInvites: env.oneOf('GROUP_INVITES', 'open', INVITE_POLICIES),
    retentionDays: env.integer('RETENTION_DAYS', 0, { min: 0, max: 36_500 }) || undefined,
    ice: readIceConfig(env),
    absences: readAbsenceConfig(env),
    drainMs: env.integer('SHUTDOWN_DRAIN_SECONDS', 8, { min: 0, max: 3_600 }) * 1_000,
  };
  env.assertValid();
  return config;
}
