import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, type ManagedProcess, manage, until } from '@groupcast/testing';
import { pin } from '../pins.ts';
import { pidOf } from '../processes.ts';
import { type RunningServer, type ServerKind, startScript } from './servers.ts';

/** Other servers that fan out, each with its defaults. They are no dependencies: one that is not installed is skipped, and the report says so. */
export interface Peer extends ServerKind {
  /** Its version, or `undefined` where it is not installed. */
  findVersion: () => string | undefined;
  /** How to get it. */
  install: string;
}

const NCHAN_MODULE = process.env['NCHAN_MODULE'] ?? '/usr/lib/nginx/modules/ngx_nchan_module.so';
const NGINX = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx';
const NATS = existsSync('/usr/sbin/nats-server') ? '/usr/sbin/nats-server' : 'nats-server';
/** One room of 5,000, and air. */
const MAX_CONNECTIONS = 12_000;

function ask(program: string, ...words: string[]): string | undefined {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  return status === 0 ? `${stdout}${stderr}`.trim() : undefined;
}

async function isListening(port: number): Promise<void> {
  await until(
    `port ${port}`,
    async () => (await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)) !== undefined,
  );
}

function running(server: ManagedProcess, port: number, pid: number, folder?: string): RunningServer {
  pin(pid, 'server');
  return {
    nodes: [{ port, pid, heapBytes: async () => Number.NaN }],
    async stop() {
      await server.stop();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The configuration file of one of these programs, in a folder of its own. */
function writeConfiguration(name: string, text: (folder: string) => string): { folder: string; file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-bench-'));
  const file = join(folder, name);
  writeFileSync(file, text(folder));
  return { folder, file };
}

async function startNchan(): Promise<RunningServer> {
  const port = await freePort();
  const { folder, file } = writeConfiguration(
    'nginx.conf',
    (own) => `load_module ${NCHAN_MODULE};
daemon off;
master_process off;
worker_processes 1;
user root;
pid ${own}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile ${MAX_CONNECTIONS};
events { worker_connections ${MAX_CONNECTIONS}; }
http {
  access_log off;
  client_body_temp_path ${own}/body;
  nchan_message_buffer_length 1000;
  server {
    listen 127.0.0.1:${port};
    location = /publish { nchan_publisher websocket; nchan_channel_id bench; }
    location = /subscribe { nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }
  }
}
`,
  );
  const server = manage(NGINX, ['-e', 'stderr', '-p', folder, '-c', file], { cwd: folder });
  await isListening(port);
  return running(server, port, pidOf(server.child), folder);
}

async function startNats(): Promise<RunningServer> {
  const [port, clientPort] = [await freePort(), await freePort()];
  const { folder, file } = writeConfiguration(
    'nats.conf',
    () => `listen: "127.0.0.1:${clientPort}"
websocket { listen: "127.0.0.1:${port}", no_tls: true }
`,
  );
  const server = manage(NATS, ['-c', file], { cwd: folder });
  await server.wrote('Server is ready');
  return running(server, port, pidOf(server.child), folder);
}

async function startBun(): Promise<RunningServer> {
  const port = await freePort();
  const script = fileURLToPath(new URL('bun.mjs', import.meta.url));
  const server = manage('bun', [script, String(port)], {});
  await server.wrote('listening');
  return running(server, port, pidOf(server.child));
}

/** Looked for from the working folder and in NODE_PATH. */
function findSocketCluster(): string | undefined {
  try {
    return createRequire(join(process.cwd(), 'package.json')).resolve('socketcluster-server');
  } catch {
    return undefined;
  }
}

function versionOfSocketCluster(): string | undefined {
  const entry = findSocketCluster();
  if (entry === undefined) return undefined;
  return (JSON.parse(readFileSync(join(entry, '../package.json'), 'utf8')) as { version: string }).version;
}

export const PEERS: readonly Peer[] = [
  {
    name: 'nchan',
    label: 'Nchan',
    dialect: 'nchan',
    findVersion: () => (existsSync(NCHAN_MODULE) ? ask(NGINX, '-v')?.replace(/.*\//s, 'nginx ') : undefined),
    install: 'apt-get install libnginx-mod-nchan',
    start: startNchan,
  },
  {
    name: 'nats',
    label: 'NATS',
    dialect: 'nats',
    findVersion: () => ask(NATS, '--version')?.replace(/.*v/s, ''),
    install: 'apt-get install nats-server',
    start: startNats,
  },
  {
    name: 'socketcluster',
    label: 'SocketCluster',
    dialect: 'socketCluster',
    findVersion: versionOfSocketCluster,
    install: 'npm install --no-save socketcluster-server',
    start: async () => startScript('socket-cluster.mjs', [findSocketCluster() ?? '']),
  },
  {
    name: 'bun',
    label: 'Bun publish()',
    dialect: 'plain',
    findVersion: () => ask('bun', '--version'),
    install: 'npm install --global bun',
    start: startBun,
  },
];
