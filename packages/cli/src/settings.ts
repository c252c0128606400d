import { join } from 'node:path';
import {
  type Environment,
  type RelaySecrets,
  readEnvironment,
  readRelaySecrets,
  readTokenConfig,
  resolveDataDir,
  type TokenConfig,
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

function readUrls(env: Environment): Urls {
  const protocols = ['http:', 'https:'];
  return {
    api: env.url('API_URL', protocols) ?? 'http://localhost:3000',
    relay: env.url('RELAY_URL', protocols) ?? 'http://localhost:3001',
  };
}

/** What the services read, read the same way. Throws `ConfigurationError` naming every variable that is wrong. */
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

/** Where this process found a secret, for the person who has to compare it with the other side's. Never its value. */
export function secretSource(source: Variables, ...names: readonly string[]): string {
  const name = names.find((candidate) => source[candidate]);
  return name
    ? `${name} of this environment`
    : `the generated secret in ${join(resolveDataDir(source['DATA_DIR']), 'secrets.json')}`;
}
