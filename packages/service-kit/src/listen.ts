import type { Server } from 'node:http';
import { type AddressInfo, createServer, isIP, type Server as NetServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Environment } from './environment.ts';

/**
 * Most connections that wait to be accepted; Linux allows 4,096 by default. One more is dropped, and comes again a second later: libuv
 * accepts one in each turn of the event loop, and a thousand may come at once.
 */
const BACKLOG = 4_096;
/** Stands for the loopback addresses of all families, as browsers try them. */
const LOCALHOST = 'localhost';
const HOST_NAME = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i;
/** Port 0 takes the same free port on every family; another process may have it on one of them. */
const ATTEMPTS = 10;

export interface Listening {
  port: number;
  /** Accepts nothing more beside `server`, which its owner closes. */
  close(): void;
}

function addressesOfThisMachine(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []);
}

/** Every address of this machine, of both families where the kernel has IPv6. */
function anyAddress(): string {
  return addressesOfThisMachine().some((address) => isIP(address) === 6) ? '::' : '0.0.0.0';
}

/**
 * Where a port listens: an address of this machine, a name of one, or `localhost` for loopback on both families. By default
 * only this machine reaches it in development, and every machine that the network lets through in production.
 */
export function readHost(env: Environment, name: string, fallback?: string): string {
  const given = env.text(name);
  if (given === undefined) return fallback ?? (env.production ? anyAddress() : LOCALHOST);
  const host = given.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIP(host) === 0 && !HOST_NAME.test(host)) {
    env.problem(`${name} must be an address of this machine such as 0.0.0.0, or localhost, got "${given}"`);
  }
  return host;
}

/** What to open in a browser on this machine. */
export function urlOfHost(host: string, port: number): string {
  const isEverywhere = host === '::' || host === '0.0.0.0';
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return `http://${isEverywhere ? LOCALHOST : name}:${port}`;
}

async function open(server: NetServer, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return (server.address() as AddressInfo).port;
}

/** Node's count of a server's connections, by which it closes, and by which `maxConnections` is meant; it has no public name. */
interface Counted {
  _connections: number;
  _server: unknown;
}

/** Hands every connection of `beside` to `server`, which then serves and counts it as one of its own. */
function handOver(beside: NetServer, server: Server): void {
  beside.on('connection', (socket: Socket) => {
    const { maxConnections } = server;
    const counted = server as unknown as Counted;
    if (maxConnections && counted._connections >= maxConnections) {
      socket.destroy();
      return;
    }
    (beside as unknown as Counted)._connections -= 1;
    counted._connections += 1;
    (socket as unknown as Counted)._server = server;
    server.emit('connection', socket);
  });
}

/**
 * Opens `server` on `host`. For `localhost` that is 127.0.0.1 and, on a machine that has it, ::1 with the same port: a browser
 * may try either first, and on a family left free somebody else could listen in our place. `listen` opens the server itself,
 * for owners that have to know; by default `server.listen` does.
 */
export async function listenOn(
  server: Server,
  at: { host: string; port: number },
  listen: (at: { host: string; port: number }) => Promise<unknown> = async ({ host, port }) => open(server, host, port),
): Promise<Listening> {
  const hasIpv6 = addressesOfThisMachine().includes('::1');
  if (at.host !== LOCALHOST || !hasIpv6) {
    await listen({ host: at.host === LOCALHOST ? '127.0.0.1' : at.host, port: at.port });
    return { port: (server.address() as AddressInfo).port, close: () => undefined };
  }
  for (let attempt = 1; ; attempt += 1) {
    // As Node's HTTP server makes its own.
    const beside = createServer({ allowHalfOpen: true, noDelay: true });
    handOver(beside, server);
    try {
      const port = await open(beside, '::1', at.port);
      await listen({ host: '127.0.0.1', port });
      return { port, close: () => void beside.close() };
    } catch (error) {
      beside.close();
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isTaken || at.port !== 0 || attempt === ATTEMPTS) throw error;
    }
  }
}
