import { availableParallelism } from 'node:os';
import {
  type Environment,
  LOG_LEVELS,
  MAX_CONNECTIONS,
  type Origins,
  type RedisTarget,
  type RelaySecrets,
  readEnvironment,
  readHost,
  readHostNames,
  readOrigins,
  readRedisPrefix,
  readRedisUrl,
  readRelayWsPath,
  readTokenConfig,
  readTokenPlaces,
  readTracingConfig,
  type TokenConfig,
  type TokenPlace,
  type TracingConfig,
} from '@groupcast/service-kit';
import { isPublishableEvent } from '@groupcast/shared';
import { type DialectConfig, readDialects } from './dialect-config.ts';

export interface RelayConfig {
  production: boolean;
  /** Settings that are allowed and risky, for the log at start. */
  warnings: readonly string[];
  logLevel: string;
  tracing: TracingConfig;
  /** The address of the public port. `localhost`: loopback, in both families. */
  host: string;
  port: number;
  /** The path of the raw door. Without it a WebSocket has to speak Socket.IO. */
  wsPath: string | undefined;
  internalPort: number;
  internalHost: string;
  /** Names beside addresses under which the internal port answers without a token; see `createHostGate`. */
  internalNames: readonly string[];
  /** Whether the public port serves the broadcast API too, and how many requests a minute of one back end. */
  publicApi: { isOn: boolean; requestsPerMinute: number };
  /** Number of processes that share the two ports. With 1 there is no other process. */
  workers: number;
  tokens: TokenConfig;
  /** Where a user's token is looked for in a handshake; those of back ends are in its `auth`. */
  tokenPlaces: readonly TokenPlace[];
  /** Whether tokens say who a user is, or the back end that is asked. */
  authBy: 'token' | 'back-end';
  relaySecrets: RelaySecrets;
  /** The address of the API. Without it there is no API: a user is in the groups of the token, and in no others. */
  apiUrl: string | undefined;
  /** Events of browsers that the relay does not know and hands to the API: names, or `*` for all. */
  forwardEvents: readonly string[];
  /** The vocabularies of clients. */
  dialects: DialectConfig;
  origins: Origins;
  /** The address of Redis. Without it there is one relay, in memory. */
  redis: RedisTarget | undefined;
  /** Prefix of this deployment's keys and channels. */
  redisPrefix: string;
  /** Whether programs that emit through Redis reach groups and users. */
  emitter: boolean;
  /** How often the relay sends itself an event, in milliseconds (0: never), and how long that may take. */
  canary: { intervalMs: number; deadlineMs: number };
  /** How long other relays count on this one after they last heard of it. */
  leaseMs: number;
  history: { size: number; bytes: number; ttlMs: number; totalBytes: number };
  /** Largest `message`, in bytes of UTF-8 JSON. */
  maxPayloadBytes: number;
  /** Bytes that may wait for one connection; see `slow-consumers/slow-consumers.ts`. */
  maxBufferedBytes: number;
  /** How events are written to connections: gathered per turn of the event loop, or as Socket.IO itself writes. */
  fanOut: 'gathered' | 'stock';
  /** Lag of writes to members above which broadcasts wait; see `broadcast/throttle.ts`. */
  fanOutMaxLagMs: number;
  /** Most open connections of the public port, in each worker. The descriptors of the process may allow fewer. */
  maxConnections: number;
  maxGroupsPerConnection: number;
  maxConnectionsPerUser: number;
  clientEventsPerSecond: number;
  /** Engine.IO's heartbeat. A peer that has not answered `timeoutMs` after a ping is gone, and so is a relay that has sent no ping. */
  ping: { intervalMs: number; timeoutMs: number };
  /** How long a removal is remembered; claims older than this are confirmed with the API. */
  removalMemoryMs: number;
  /** Most removals, most additions and most revocations that are remembered. Older ones count as forgotten. */
  removalMemoryEntries: number;
  drainMs: number;
}

const MAX = Number.MAX_SAFE_INTEGER;

/**
 * Returns where the API answers the relay's questions: `API_INTERNAL_URL`, or `API_URL` if that is not set, since a team's own back end may
 * have one port. Without a value there is no API: service tokens go to no address that was not configured. In production even that has to
 * be said.
 */
function readApiUrl(env: Environment): string | undefined {
  const carries = 'service tokens and what the API answers';
  const named = env.text('API_URL', { keepEmpty: true });
  const internal = env.serviceUrl('API_INTERNAL_URL', { carries });
  if (named === '' && env.text('API_INTERNAL_URL') !== undefined) {
    env.problem(
      'API_INTERNAL_URL must not be set where API_URL is empty, which says that there is no API',
      'VARIABLES_CONFLICT',
    );
  } else if (named === undefined && internal === undefined) {
    if (env.production)
      env.problem(
        'API_URL must be set with NODE_ENV=production, or be empty where there is no API',
        'VARIABLE_MISSING',
      );
    else env.warning('API_URL is not set: this relay asks no API; set it, or leave it empty to say that there is none');
  }
  // Nothing is sent to `API_URL` if the other one is set.
  const url = internal === undefined ? env.serviceUrl('API_URL', { carries }) : env.serviceUrl('API_URL');
  return internal ?? url;
}

function readForwardEvents(env: Environment): string[] {
  const names = (env.text('FORWARD_EVENTS') ?? '').split(',').flatMap((name) => name.trim() || []);
  for (const name of names) {
    if (name !== '*' && !isPublishableEvent(name)) {
      env.problem(`FORWARD_EVENTS must not name "${name}": the relay handles it itself, or it is no name of an event`);
    }
  }
  return [...new Set(names)];
}

function readEmitter(env: Environment): boolean {
  const isOn = env.flag('RELAY_EMITTER') ?? false;
  if (isOn && env.text('REDIS_URL') === undefined)
    env.warning('RELAY_EMITTER=1 needs REDIS_URL: emitters emit through Redis');
  return isOn;
}

/** How long a canary may take at least, in milliseconds. */
const CANARY_DEADLINE_MS = 10_000;

/** The deadline is two intervals at least, so that the canaries of other relays are newer than those that have failed here. */
function readCanary(env: Environment): RelayConfig['canary'] {
  const intervalMs = env.integer('RELAY_CANARY_SECONDS', 5, { min: 0, max: 60 }) * 1_000;
  return { intervalMs, deadlineMs: Math.max(CANARY_DEADLINE_MS, 2 * intervalMs) };
}

/** More than any machine has cores. */
const MAX_WORKERS = 256;

function readWorkers(env: Environment): number {
  if (env.text('RELAY_WORKERS') === 'auto') return Math.min(MAX_WORKERS, availableParallelism());
  return env.integer('RELAY_WORKERS', 1, { min: 1, max: MAX_WORKERS });
}

/** Throws `ConfigurationError` naming every variable that is wrong. */
export function readRelayConfig(
  source: Readonly<Record<string, string | undefined>>,
  env: Environment = readEnvironment(source),
): RelayConfig {
  const origins = readOrigins(env);
  const authBy = env.oneOf('AUTH_BY', 'token', ['token', 'back-end'] as const);
  const config: RelayConfig = {
    production: env.production,
    warnings: env.warnings,
    logLevel: env.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    tracing: readTracingConfig(env),
    host: readHost(env, 'RELAY_HOST'),
    port: env.port('RELAY_PORT', 3001, 'PORT'),
    wsPath: readRelayWsPath(env),
    internalPort: env.port('RELAY_INTERNAL_PORT', 3002),
    internalHost: readHost(env, 'RELAY_INTERNAL_HOST', '127.0.0.1'),
    internalNames: readHostNames(env, 'RELAY_INTERNAL_NAMES'),
    publicApi: {
      isOn: env.flag('PUBLIC_BROADCAST_API') ?? false,
      requestsPerMinute: env.integer('PUBLIC_BROADCAST_RATE_LIMIT_PER_MINUTE', 6_000, { min: 1, max: 1_000_000 }),
    },
    workers: readWorkers(env),
    ...readTokenConfig(env, { usersHaveTokens: authBy === 'token' }),
    tokenPlaces: readTokenPlaces(env, { service: 'relay', origins }),
    authBy,
    apiUrl: readApiUrl(env),
    forwardEvents: readForwardEvents(env),
    dialects: readDialects(env),
    origins,
    redis: readRedisUrl(env),
    redisPrefix: readRedisPrefix(env),
    emitter: readEmitter(env),
    canary: readCanary(env),
    leaseMs: env.integer('NODE_LEASE_SECONDS', 15, { min: 3, max: 600 }) * 1_000,
    history: {
      size: env.integer('HISTORY_SIZE', 1_000, { min: 1, max: 1_000_000 }),
      bytes: env.integer('HISTORY_BYTES', 4 * 1024 * 1024, { min: 1_024, max: MAX }),
      ttlMs: env.integer('HISTORY_TTL_SECONDS', 86_400, { min: 1, max: 31_536_000 }) * 1_000,
      totalBytes: env.integer('HISTORY_TOTAL_BYTES', 256 * 1024 * 1024, { min: 1_024, max: MAX }),
    },
    maxPayloadBytes: env.integer('MAX_PAYLOAD_BYTES', 65_536, { min: 256, max: 16 * 1024 * 1024 }),
    maxBufferedBytes: env.integer('MAX_BUFFERED_BYTES', 1_048_576, { min: 16_384, max: 1024 * 1024 * 1024 }),
    fanOut: env.oneOf('FANOUT', 'gathered', ['gathered', 'stock'] as const),
    fanOutMaxLagMs: env.integer('FANOUT_MAX_LAG_MS', 100, { min: 1, max: 600_000 }),
    maxConnections: env.integer('MAX_CONNECTIONS', MAX_CONNECTIONS.max, MAX_CONNECTIONS),
    maxGroupsPerConnection: env.integer('MAX_GROUPS_PER_CONNECTION', 2_000, { min: 1, max: 100_000 }),
    maxConnectionsPerUser: env.integer('MAX_CONNECTIONS_PER_USER', 1_000, { min: 1, max: 1_000_000 }),
    clientEventsPerSecond: env.integer('CLIENT_EVENTS_PER_SECOND', 50, { min: 1, max: 100_000 }),
    ping: {
      intervalMs: env.integer('PING_INTERVAL_MS', 10_000, { min: 100, max: 300_000 }),
      timeoutMs: env.integer('PING_TIMEOUT_MS', 5_000, { min: 100, max: 300_000 }),
    },
    removalMemoryMs: env.integer('REMOVAL_MEMORY_SECONDS', 86_400, { min: 600, max: 31_536_000 }) * 1_000,
    removalMemoryEntries: env.integer('REMOVAL_MEMORY_ENTRIES', 200_000, { min: 10_000, max: 10_000_000 }),
    drainMs: env.integer('SHUTDOWN_DRAIN_SECONDS', 8, { min: 0, max: 3_600 }) * 1_000,
  };
  if (config.forwardEvents.length > 0 && config.apiUrl === undefined) {
    env.problem('FORWARD_EVENTS needs API_URL, where the events go', 'VARIABLE_MISSING');
  }
  if (config.authBy === 'back-end') {
    if (config.apiUrl === undefined)
      env.problem('AUTH_BY=back-end needs API_URL, the back end that says who connects', 'VARIABLE_MISSING');
    if (origins === '*') {
      env.warning(
        'AUTH_BY=back-end hands on no cookie where SOCKET_CORS_ORIGIN is *: the page of any site could act as its visitor',
      );
    }
  }
  env.assertValid();
  return config;
}
