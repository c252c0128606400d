import { createHmac } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { INTERNET, type OwnNetwork, RELAY_PORTS } from './own-network.ts';

export interface TurnServer {
  /** Where it is, for clients that can use TCP only. */
  url: string;
  /** The secret by which it knows credentials. */
  secret: string;
  stop: () => Promise<void>;
}

const PORT = 3_478;
const SECRET = 'turn-secret-of-the-tests-0123456789abcdef';

/** Debian's coturn with the option `--use-auth-secret`, over UDP and TCP, in the Internet of a network of its own. */
export async function startTurnServer(network: OwnNetwork): Promise<TurnServer> {
  const binary = ['/usr/bin/turnserver', '/usr/local/bin/turnserver'].find((file) => existsSync(file));
  if (!binary) throw new Error('coturn is not installed: run bash scripts/setup.sh all');
  const server = network.start(binary, [
    '-n',
    '--no-cli',
    '--no-tls',
    '--no-dtls',
    '--log-file=stdout',
    '--simple-log',
    '--verbose',
    `--pidfile=${join(network.folder, 'turn.pid')}`,
    `--userdb=${join(network.folder, 'turn.db')}`,
    '--realm=tests.example.com',
    '--listening-ip=127.0.0.1',
    `--listening-port=${PORT}`,
    `--relay-ip=${INTERNET}`,
    `--min-port=${RELAY_PORTS.min}`,
    `--max-port=${RELAY_PORTS.max}`,
    '--relay-threads=1',
    '--use-auth-secret',
    `--static-auth-secret=${SECRET}`,
  ]);
  await server.wrote(`TCP listener opened on : 127.0.0.1:${PORT}`).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return {
    url: `turn:127.0.0.1:${PORT}?transport=tcp`,
    secret: SECRET,
    stop: async () => server.stop(),
  };
}

/** The credentials of a user until a moment, as coturn checks them: the time in seconds, and an HMAC of it. */
export function turnCredentials(
  secret: string,
  user: string,
  expiresAt: number,
): { username: string; credential: string } {
  const username = `${expiresAt}:${user}`;
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
}
