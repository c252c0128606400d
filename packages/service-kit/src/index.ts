export { addressKey } from './address-key.ts';
export { CONNECTION_ARRIVED } from './bound-requests.ts';
export {
  type CloseReason,
  type ConnectionLimit,
  type ConnectionLimitOptions,
  createConnectionLimit,
} from './connection-limit.ts';
export {
  type DevelopmentSecrets,
  makeDataDirPrivate,
  makeFolderPrivate,
  resolveDataDir,
  useDevelopmentSecrets,
} from './data-dir.ts';
export { fingerprintsOf } from './deployment-fingerprints.ts';
export { type ConnectionBudget, connectionBudget, MAX_CONNECTIONS } from './descriptors.ts';
export { type Diversion, ignoreUpgrades } from './diversion.ts';
export { loadDotEnv } from './dot-env.ts';
export {
  CONFIGURATION_PROBLEM_CODES,
  ConfigurationError,
  type Environment,
  readEnvironment,
} from './environment.ts';
export { EVENT_LOOP_RESOLUTION_MS } from './event-loop.ts';
export { createFairQueue, type FairQueue, type Ticket } from './fair-queue.ts';
export { beginHop, type Hop, type HopName } from './hops.ts';
export { createHostGate, readHostNames } from './host-gate.ts';
export { hostOfHeader, isFromForeignPage, isHostTrusted, isLoopbackName } from './host-names.ts';
export {
  bearerToken,
  createHttpApp,
  type HttpApp,
  type HttpRequest,
  type HttpScope,
  nothingAt,
  plainScope,
  sendJson,
  zodScope,
} from './http.ts';
export { createBoundedServer } from './http-server.ts';
export { logKeyProblems } from './key-problems.ts';
export { type Listening, listenOn, readHost, urlOfHost } from './listen.ts';
export { createLogger, LOG_LEVELS, type Logger } from './logger.ts';
export {
  describeRefusals,
  errorAnswerSchema,
  openApiOf,
  refusalsOf,
  writeAsIs,
} from './openapi.ts';
export type { OpenApiOptions } from './openapi-app.ts';
export { corsOptions, isHostOfOrigins, isOriginAllowed, type Origins, readOrigins } from './origins.ts';
export { createRateLimiter, type RateLimiter } from './rate-limiter.ts';
export { readLittle, readLittleOf, readMuch } from './read-size.ts';
export {
  addressOf,
  DEFAULT_REDIS_PREFIX,
  parseRedisUrl,
  type RedisAddress,
  type RedisTarget,
  readRedisPrefix,
  readRedisUrl,
} from './redis-target.ts';
export { readRelayWsPath } from './relay-paths.ts';
export { type Closable, runService } from './run-service.ts';
export { hintOfPort, type ServicePort } from './service-ports.ts';
export { StartFailure } from './start-failure.ts';
export { createStopStack, type StopStack } from './stop-stack.ts';
export { outliveTerminal } from './terminal.ts';
export { type RelaySecrets, readRelaySecrets, readTokenConfig, type TokenConfig } from './token-config.ts';
export {
  bearerOf,
  findToken,
  isCookieTrusted,
  MAX_COOKIE_LENGTH,
  readTokenPlaces,
  type TokenPlace,
  tokenMissing,
} from './token-places.ts';
export { readTracingConfig, startTraced, type TracingConfig } from './tracing.ts';
export { BARE_PERCENT, hasSplitCredentials, SPLIT_CREDENTIALS } from './url-credentials.ts';
export { type Warn, warnOnceEvery } from './warn-once-every.ts';
export { TimedOut, within } from './within.ts';
