import { join } from 'node:path';
import {
  type Environment,
  type RelaySecrets,
  readEnvironment,
  readHost,
  readRelaySecrets,
  readTokenConfig,
  resolveDataDir,
  type TokenConfig,
  urlOfHost,
} from '@groupcast/service-kit';
import type { Variables } from './command.ts';

export interface Urls {
  api: string;
  relay: string;
}

export interface Settings {
  urls: Urls;
  tokens: TokenConfig;
  relaySecrets: RelaySecrets;
}

/** The URL that was given, else that of the port where the service listens on this machine. */
export function readUrl(env: Environment, service: 'API' | 'RELAY', defaultPort: number, alias?: string): string {
  const given = env.serviceUrl(`${service}_URL`);
  if (given !== undefined) return given;
  // A port that is free at the start of a service is known to nobody else.
  return urlOfHost(readHost(env, `${service}_HOST`), env.port(`${service}_PORT`, defaultPort, alias) || defaultPort);
}

function readUrls(env: Environment): Urls {
  return { api: readUrl(env, 'API', 3_000, 'PORT'), relay: readUrl(env, 'RELAY', 3_001) };
}

/** Reads the variables of the services, in their way. Throws `ConfigurationError` naming every variable that is wrong. */
export function readSettings(source: Variables): Settings {
  const env = readEnvironment(source);
  const settings = { urls: readUrls(env), ...readTokenConfig(env) };
  env.assertValid();
  return settings;
}

/** For commands that only speak as a service: they need no secret of users. */
export function readServiceSettings(source: Variables): Pick<Settings, 'urls' | 'relaySecrets'> {
  const env = readEnvironment(source);
  const settings = { urls: readUrls(env), relaySecrets: readRelaySecrets(env) };
  env.assertValid();
  return settings;
}

/** Says where this process found a secret, so that it can be compared with the other side's. It never shows the value. */
export function secretSource(source: Variables, ...names: readonly string[]): string {
  const name = names.find((candidate) => source[candidate]);
  return name
    ? `${name} of this environment`
    : `the generated secret in ${join(resolveDataDir(source['DATA_DIR']), 'secrets.json')}`;
}
