import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ManagedProcess, manage } from './processes.ts';

/** The address of everything that is neither of the two networks below: of a server in the Internet. */
export const INTERNET = '203.0.113.1';
/** The addresses of a computer in two networks. */
export const LINKS = { wifi: '198.51.100.10', mobile: '198.51.101.10' } as const;
/** UDP from these ports goes on when all other UDP is dropped: a relay's own. */
export const RELAY_PORTS = { min: 20_000, max: 20_100 } as const;

export interface OwnNetwork {
  /** A folder for files of the programs in it, which goes with it. */
  readonly folder: string;
  /** A file that runs the program there, with the same arguments. */
  wrapper: (program: string) => string;
  start: (file: string, args: readonly string[]) => ManagedProcess;
  /** The computer comes into one of the two networks, or leaves it. */
  enter: (name: keyof typeof LINKS) => void;
  leave: (name: keyof typeof LINKS) => void;
  /** From now on no UDP goes out but a relay's. Returns how many packets were dropped until now. */
  dropUdp: () => { dropped: () => number };
  stop: () => Promise<void>;
}

/** Debian keeps some outside the PATH of ordinary users. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

const SET_UP = [
  'set -e',
  'ip link set lo up',
  // Browsers offer no address of the loopback interface to others.
  `ip addr add ${INTERNET}/32 dev lo`,
  ...Object.keys(LINKS).flatMap((name) => [
    `ip link add ${name} type veth peer name far-${name}`,
    `ip link set far-${name} up`,
  ]),
  'nft add table inet tests',
  "nft add chain inet tests out '{ type filter hook output priority 0; }'",
  'echo the network is there',
  'exec sleep infinity',
].join('\n');

/**
 * A network of one computer, apart from this machine's: it enters and leaves two networks, the first of which it is in, and something
 * has an address in the Internet. Of
 * this machine only the loopback `ports` are reached, over TCP, under the same numbers. It needs no privileges where the kernel lets users
 * have namespaces, as Debian's does.
 */
export async function startOwnNetwork(ports: readonly number[]): Promise<OwnNetwork> {
  for (const tool of ['ip', 'nft']) {
    if (!PATH.split(':').some((folder) => existsSync(join(folder, tool)))) {
      throw new Error(`${tool} is not installed: run bash scripts/setup.sh all`);
    }
  }
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-network-'));
  const isRoot = process.getuid?.() === 0;
  const env = { ...process.env, PATH };
  const holder = manage('unshare', [isRoot ? '-n' : '-rn', 'sh', '-c', SET_UP], { env });
  const inside = ['-t', String(holder.child.pid), '-n', ...(isRoot ? [] : ['-U', '--preserve-credentials'])];
  const run = (command: string): string =>
    execFileSync('nsenter', [...inside, ...command.split(' ')], { env, encoding: 'utf8' });
  const enter: OwnNetwork['enter'] = (name) => {
    run(`ip link set ${name} up`);
    run(`ip addr add ${LINKS[name]}/24 dev ${name}`);
    run(`ip route add default dev ${name}`);
  };
  const start: OwnNetwork['start'] = (file, args) => manage('nsenter', [...inside, file, ...args], { env });
  const outside = await Promise.all(ports.map((port) => openOutside(join(folder, String(port)), port)));
  let doorway: ManagedProcess | undefined;

  async function stop(): Promise<void> {
    await doorway?.stop();
    await holder.stop();
    for (const server of outside) server.close();
    rmSync(folder, { recursive: true, force: true });
  }

  try {
    await holder.wrote('the network is there');
    enter('wifi');
    const script = fileURLToPath(new URL('doorway.mjs', import.meta.url));
    doorway = start(process.execPath, [script, folder, ...ports.map(String)]);
    await doorway.wrote('the doorway is open');
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    start,
    wrapper(program) {
      const file = join(folder, 'wrapper');
      writeFileSync(file, `#!/bin/sh\nexec nsenter ${inside.join(' ')} ${program} "$@"\n`);
      chmodSync(file, 0o755);
      return file;
    },
    folder,
    enter,
    leave(name) {
      // An address answers on its own computer for as long as it is there, whatever the state of its link.
      run(`ip addr flush dev ${name}`);
      run(`ip link set ${name} down`);
    },
    dropUdp() {
      run(`nft add rule inet tests out udp sport != ${RELAY_PORTS.min}-${RELAY_PORTS.max} counter drop`);
      return {
        dropped: () => Number(/counter packets (\d+)/.exec(run('nft list table inet tests'))?.[1] ?? 0),
      };
    },
    stop,
  };
}

/** The other end of the doorway: a Unix socket that leads to a port of this machine. */
async function openOutside(path: string, port: number): Promise<Server> {
  const server = createServer((inside) => {
    const target = connect(port, '127.0.0.1');
    for (const socket of [inside, target]) socket.on('error', () => undefined);
    inside.once('close', () => target.destroy());
    target.once('close', () => inside.destroy());
    inside.pipe(target).pipe(inside);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}
