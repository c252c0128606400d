import { execFileSync, type SpawnOptions } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from './ports.ts';
import { manage } from './processes.ts';
import { until } from './until.ts';

export interface PostgresServer {
  /** The URL of the database `postgres`. */
  url: string;
  version: string;
  /** The process id of the postmaster. */
  readonly pid: number;
  /** Asks the server something, in the database `postgres`. */
  /** Asks the server's own database, or one that was created. */
  query(text: string, url?: string): Promise<pg.QueryResult>;
  /** Makes a new empty database of this server. */
  createDatabase(): Promise<string>;
  /** Connections end, and new ones are refused, until `startServer`. */
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  /** It is started again as a standby, which only reads, as an old primary after a failover. */
  demote(): Promise<void>;
  /** It is a primary again, without a restart. */
  promote(): Promise<void>;
  stop(): Promise<void>;
}

const VERSIONS_FOLDER = '/usr/lib/postgresql';

function binFolder(): string {
  const versions = existsSync(VERSIONS_FOLDER) ? readdirSync(VERSIONS_FOLDER) : [];
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  if (!newest) throw new Error('PostgreSQL is not installed: run bash scripts/setup.sh all');
  return join(VERSIONS_FOLDER, newest, 'bin');
}

/** initdb and postgres refuse to run as root: they get the uid of a user that may. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** A server of its own in a temporary folder, on a free port, without fsync. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-pg-'));
  const user = unprivileged();
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const options: SpawnOptions = { ...user, cwd: folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8' } };
  const data = join(folder, 'data');
  const init = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'trust',
    '-N',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
    '--no-instructions',
  ];
  execFileSync(join(binFolder(), 'initdb'), init, { ...options, stdio: 'pipe' });
  const port = await freePort();
  const settings = [
    ['fsync', 'off'],
    ['synchronous_commit', 'off'],
    ['full_page_writes', 'off'],
    ['max_connections', '300'],
    ['listen_addresses', '127.0.0.1'],
    ['unix_socket_directories', ''],
  ].flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const start = () => manage(join(binFolder(), 'postgres'), ['-D', data, '-p', String(port), ...settings], options);
  let server = start();
  const urlOf = (database: string): string => `postgres://postgres@127.0.0.1:${port}/${database}`;

  async function query(text: string, url = urlOf('postgres')): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return await client.query(text);
    } finally {
      await client.end();
    }
  }

  /** A fast shutdown, which ends connections. */
  async function shutDown(): Promise<void> {
    server.signal('SIGINT');
    await server.exited();
  }

  async function startServer(): Promise<void> {
    server = start();
    await until('PostgreSQL', () => query('show server_version'));
  }

  const answer = await until('PostgreSQL', () => query('show server_version'));
  let databases = 0;
  return {
    url: urlOf('postgres'),
    version: (answer.rows[0] as { server_version: string }).server_version,
    get pid() {
      return server.child.pid ?? 0;
    },
    query,
    async createDatabase() {
      databases += 1;
      const name = `test_${databases}`;
      await query(`create database ${name}`);
      return urlOf(name);
    },
    stopServer: shutDown,
    startServer,
    async demote() {
      await shutDown();
      writeFileSync(join(data, 'standby.signal'), '');
      await startServer();
    },
    async promote() {
      await query('select pg_promote()');
    },
    async stop() {
      await shutDown();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
