export {
  type DevelopmentSecrets,
  makeDataDirPrivate,
  makeFolderPrivate,
  resolveDataDir,
  useDevelopmentSecrets,
} from './data-dir.ts';
export { ConfigurationError, type Environment, readEnvironment } from './environment.ts';
export { bearerToken, createHttpApp, type HttpApp, type HttpScope, zodScope } from './http.ts';
export { logKeyProblems } from './key-problems.ts';
export { createLogger, LOG_LEVELS, type Logger } from './logger.ts';
export { isOriginAllowed, type Origins, readOrigins } from './origins.ts';
export { type Closable, loadDotEnv, runService, StartFailure } from './run-service.ts';
export { type RelaySecrets, readRelaySecrets, readTokenConfig, type TokenConfig } from './token-config.ts';
export { warnOnceEvery } from './warn-once-every.ts';
