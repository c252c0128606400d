import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { INTERNET, type OwnNetwork, RELAY_PORTS } from './own-network.ts';
import type { ManagedProcess } from './processes.ts';

const PORT = 3_478;

/** Where it is, inside its network, for clients that can use TCP only; and the secret by which it knows credentials. */
export const TURN = {
  url: `turn:127.0.0.1:${PORT}?transport=tcp`,
  secret: 'turn-secret-of-the-tests-0123456789abcdef',
} as const;

/** Debian's coturn with the option `--use-auth-secret`, over UDP and TCP, in the Internet of a network of its own. */
export async function startTurnServer(network: OwnNetwork): Promise<ManagedProcess> {
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
    `--static-auth-secret=${TURN.secret}`,
  ]);
  await server.wrote(`TCP listener opened on : 127.0.0.1:${PORT}`).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return server;
}
