import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { type ManagedProcess, manage } from './processes.ts';
import { startTcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Ends the process at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on its port and in its folder: data in memory only is gone, unless it was started with `appendonly`. */
  restart(): Promise<void>;
  /** Stops the process without ending it, so that connections stay open and nothing is answered. */
  pause(): void;
  resume(): void;
  /** Asks it something, as redis-cli does. */
  ask(...words: string[]): string;
  stop(): Promise<void>;
}

function cli(port: number, ...words: string[]): string {
  const options = { encoding: 'utf8' as const, stdio: 'pipe' as const };
  return execFileSync('redis-cli', ['-p', String(port), ...words], options).trim();
}

/** The nodes of a cluster talk to each other on a port this far above their own. */
const CLUSTER_BUS_DISTANCE = 10_000;

/** A server of its own on a free port, in a temporary folder. `settings` are lines of redis.conf, as `--name value`. */
export async function startRedis(settings: readonly string[] = []): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-redis-'));
  const port = await freePort(settings.includes('--cluster-enabled') ? CLUSTER_BUS_DISTANCE : 0);
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  let server: ManagedProcess;

  async function start(): Promise<void> {
    server = manage('redis-server', [...fixed, ...settings], { cwd: folder });
    await server.wrote('Ready to accept connections');
  }
  await start();

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill: async () => server.stop(),
    restart: start,
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    ask: (...words) => cli(port, ...words),
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface RedisCluster {
  /** Its address, as `REDIS_URL` takes it. */
  readonly url: string;
  readonly nodes: readonly RedisServer[];
  /** Moves the slot of `key` to another node, with what is in it. */
  moveSlotOf(key: string): void;
  stop(): Promise<void>;
}

/** Three masters without replicas, each with a third of the slots. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const settings = [
    '--cluster-enabled',
    'yes',
    '--cluster-config-file',
    'nodes.conf',
    '--cluster-node-timeout',
    '2000',
  ];
  const nodes = await Promise.all([startRedis(settings), startRedis(settings), startRedis(settings)]);
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const [first] = nodes;
  if (!first) throw new Error('unable to start a cluster without nodes');
  cli(first.port, '--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes');

  return {
    url: nodes.map(({ url }) => url).join(','),
    nodes,
    moveSlotOf(key) {
      const slot = cli(first.port, 'cluster', 'keyslot', key);
      const rows = cli(first.port, 'cluster', 'nodes').split('\n');
      const masters = rows
        .map((row) => row.split(' '))
        .map(([id = '', address = '', , , , , , , ...ranges]) => {
          const port = Number(/:(\d+)@/.exec(address)?.[1]);
          const owns = ranges.some((range) => {
            const [from, to = from] = range.split('-').map(Number);
            return Number(slot) >= (from ?? 0) && Number(slot) <= (to ?? 0);
          });
          return { id, port, owns };
        });
      const from = masters.find(({ owns }) => owns);
      const to = masters.find(({ owns }) => !owns);
      if (!from || !to) throw new Error(`unable to move slot ${slot}; nobody has it`);
      cli(to.port, 'cluster', 'setslot', slot, 'importing', from.id);
      cli(from.port, 'cluster', 'setslot', slot, 'migrating', to.id);
      for (;;) {
        const keys = cli(from.port, 'cluster', 'getkeysinslot', slot, '100').split('\n').filter(Boolean);
        if (keys.length === 0) break;
        cli(from.port, 'migrate', '127.0.0.1', String(to.port), '', '0', '5000', 'keys', ...keys);
      }
      for (const { port } of [to, from, ...masters]) cli(port, 'cluster', 'setslot', slot, 'node', to.id);
    },
    async stop() {
      await Promise.all(nodes.map(async (node) => node.stop()));
    },
  };
}

export interface RedisSentinel {
  /** Its address, as `REDIS_URL` takes it. */
  readonly url: string;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  /** From now on nothing that the master acknowledges reaches the replica. */
  cutReplication(): void;
  /** Resolves once the replica has taken over from a master that was killed. */
  tookOver(): Promise<void>;
  stop(): Promise<void>;
}

/** A master, a replica, and one sentinel that watches both. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const master = await startRedis();
  const wire = await startTcpProxy(master.port);
  const replica = await startRedis(['--replicaof', `127.0.0.1 ${wire.port}`, '--repl-diskless-sync-delay', '0']);
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-sentinel-'));
  const port = await freePort();
  // After the failover's time-out a sentinel connects a replica that follows a proxy to the master itself.
  writeFileSync(
    join(folder, 'sentinel.conf'),
    `port ${port}
bind 127.0.0.1
dir ${folder}
sentinel monitor groupcast 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds groupcast 10000
sentinel failover-timeout groupcast 600000
`,
  );
  await until('the replica', () => cli(replica.port, 'info', 'replication').includes('master_link_status:up'));
  const sentinel = manage('redis-server', [join(folder, 'sentinel.conf'), '--sentinel'], { cwd: folder });
  await until('the sentinel', () => cli(port, 'sentinel', 'replicas', 'groupcast').includes(String(replica.port)));
  return {
    url: `redis+sentinel://127.0.0.1:${port}/groupcast`,
    master,
    replica,
    cutReplication: () => wire.freeze(),
    // The failover is asked for: a sentinel with short time-outs takes a busy machine for a master that is down.
    tookOver: async () =>
      void (await until(
        'the replica to take over',
        () => {
          if (cli(replica.port, 'info', 'replication').includes('role:master')) return true;
          cli(port, 'sentinel', 'failover', 'groupcast');
          return false;
        },
        30_000,
      )),
    async stop() {
      await sentinel.stop();
      await wire.close();
      await Promise.all([master.stop(), replica.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
