import { connect, createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { freePort, received, type ServiceProcess, startRelayProcess, tokenFor } from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';

const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
const hasIpv6 = interfaces.some(({ address }) => address === '::1');
const LOOPBACK = ['127.0.0.1', ...(hasIpv6 ? ['::1'] : [])];
/** Addresses of this machine that are not `localhost`; 127.0.0.2 is there where it has no network. */
const OTHER_ADDRESSES = [
  '127.0.0.2',
  ...interfaces.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
];
const CLIENTS = 12;

let processes: ServiceProcess[] = [];
let servers: Server[] = [];
afterEach(async () => {
  for (const process of processes.splice(0)) await process.stop();
  for (const server of servers.splice(0)) server.close();
  processes = [];
  servers = [];
});

async function start(env: Record<string, string>): Promise<ServiceProcess & { internalUrl: string }> {
  const relay = await startRelayProcess({ SHUTDOWN_DRAIN_SECONDS: '0', ...env });
  processes.push(relay);
  return relay;
}

async function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
  });
}

async function openAt(hosts: readonly string[], port: number): Promise<string[]> {
  const answers = await Promise.all(hosts.map(async (host) => isOpen(host, port)));
  return hosts.filter((_, index) => answers[index]);
}

describe.each([
  ['one process', '1'],
  ['two workers', '2'],
])('%s', (_name, workers) => {
  test('on localhost is found on loopback, in both families, and nowhere else (G34)', async () => {
    const relay = await start({ RELAY_WORKERS: workers, RELAY_HOST: '' });
    expect(await openAt([...LOOPBACK, ...OTHER_ADDRESSES], relay.port)).toEqual(LOOPBACK);
    expect(relay.output()).toContain(`"url":"http://localhost:${relay.port}"`);
  });

  test('serves clients of both families, polling, upgraded and WebSocket, and stops in good order', async () => {
    const relay = await start({ RELAY_WORKERS: workers });
    const sockets: Socket[] = [];
    for (const host of LOOPBACK.map((address) => (address === '::1' ? '[::1]' : address))) {
      for (let n = 0; n < CLIENTS; n += 1) {
        const transports = [['polling'], ['polling', 'websocket'], ['websocket']][n % 3] ?? [];
        const auth = { token: await tokenFor(`u${n}`, ['g']) };
        const socket = io(`http://${host}:${relay.port}`, { forceNew: true, transports, auth, reconnection: false });
        sockets.push(socket);
        await received(socket, 'joined-groups');
      }
    }
    const ends = sockets.map(async (socket) => received(socket, 'session-ending'));
    relay.signal('SIGTERM');
    for (const end of ends) expect(await end).toMatchObject({ code: 'SERVER_DRAINING' });
    expect(await relay.exited()).toBe(0);
    for (const socket of sockets) socket.close();
  });

  test.skipIf(!hasIpv6)('with the port taken on one family says so and exits 1, leaving nothing open', async () => {
    const port = await freePort();
    const other = createServer();
    servers.push(other);
    await new Promise<void>((resolve) => other.listen(port, '::1', resolve));
    await expect(start({ RELAY_WORKERS: workers, RELAY_PORT: String(port), LOG_LEVEL: 'fatal' })).rejects.toThrow(
      `socket-relay: unable to listen; port ${port} is already in use`,
    );
    expect(await isOpen('127.0.0.1', port)).toBe(false);
  });

  test('listens on the address that it is given, and says so', async () => {
    const relay = await start({ RELAY_WORKERS: workers, RELAY_HOST: '127.0.0.2' });
    expect(await openAt([...LOOPBACK, '127.0.0.2'], relay.port)).toEqual(['127.0.0.2']);
    expect(relay.output()).toContain(`"url":"http://127.0.0.2:${relay.port}"`);
  });

  test('in production listens on every address', async () => {
    const relay = await start({ RELAY_WORKERS: workers, RELAY_HOST: '', NODE_ENV: 'production' });
    const hosts = [...LOOPBACK, ...OTHER_ADDRESSES];
    expect(await openAt(hosts, relay.port)).toEqual(hosts);
    expect(relay.output()).toContain(`"url":"http://localhost:${relay.port}"`);
  });

  test('an address that this machine does not have is said in one line, and exits 1', async () => {
    await expect(start({ RELAY_WORKERS: workers, RELAY_HOST: '192.0.2.77', LOG_LEVEL: 'fatal' })).rejects.toThrow(
      'socket-relay: unable to listen; this machine has no address 192.0.2.77',
    );
  });
});
