import { join } from 'node:path';

/** The environment, read once. Everything that is missing is named in one message. */
export interface Configuration {
  port: number;
  /** The relay as this server reaches it. */
  relayUrl: string;
  /** The relay as browsers reach it. */
  relayPublicUrl: string;
  /** The relay's: it signs user tokens. */
  userTokenSecret: string;
  /** The relay's: it signs service tokens, in both directions. */
  serviceSecret: string;
  journalFile: string;
}

export const CONFIGURATION = Symbol('configuration');

export function readConfiguration(env: NodeJS.ProcessEnv): Configuration {
  const missing = ['JWT_SECRET', 'RELAY_SERVICE_SECRET'].filter((name) => !env[name]);
  if (missing.length > 0) throw new Error(`${missing.join(' and ')} must be set, as for the relay`);
  const relayUrl = env['RELAY_URL'] || 'http://localhost:3001';
  return {
    port: Number(env['PORT'] || 4000),
    relayUrl,
    relayPublicUrl: env['RELAY_PUBLIC_URL'] || relayUrl,
    userTokenSecret: env['JWT_SECRET'] ?? '',
    serviceSecret: env['RELAY_SERVICE_SECRET'] ?? '',
    journalFile: env['JOURNAL_FILE'] || join(import.meta.dirname, '../data/chat.jsonl'),
  };
}
