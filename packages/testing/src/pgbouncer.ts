import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { manage } from './processes.ts';
import { until } from './until.ts';

export interface PgBouncer {
  /** The same database, through the pooler. */
  through(url: string): string;
  stop(): Promise<void>;
}

/** Debian keeps it outside the PATH of ordinary users. */
const BINARY = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'];
/** Connections to PostgreSQL for each database, fewer than its clients have: they share them. */
const POOL_SIZE = 4;

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * PgBouncer as Debian has it, in front of the server that `url` names: each client has a connection to it for as long as it stays
 * (`session`), or for one transaction after the other. Everybody may be `postgres`.
 */
export async function startPgBouncer(url: string, mode: 'session' | 'transaction'): Promise<PgBouncer> {
  const binary = BINARY.find((file) => existsSync(file));
  if (!binary) throw new Error('PgBouncer is not installed: run bash scripts/setup.sh all');
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-pgbouncer-'));
  const port = await freePort();
  const settings = [
    '[databases]',
    `* = host=127.0.0.1 port=${new URL(url).port}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = trust',
    'server_idle_timeout = 1',
    `auth_file = ${join(folder, 'users.txt')}`,
    `pool_mode = ${mode}`,
    `default_pool_size = ${mode === 'session' ? 40 : POOL_SIZE}`,
  ];
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(file, settings.join('\n'));
  writeFileSync(join(folder, 'users.txt'), '"postgres" ""\n');
  // It refuses to run as root, and opens its files as the user that it runs as.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) execFileSync('chown', ['-R', 'postgres', folder]);
  const server = manage(binary, [...(isRoot ? ['-u', 'postgres'] : []), file], { cwd: folder });
  await until('PgBouncer', () => accepts(port));
  return {
    through(direct) {
      const pooled = new URL(direct);
      pooled.port = String(port);
      return pooled.href;
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
