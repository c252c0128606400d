import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * The range of ports, below those that the system gives to outgoing connections, which come and go by themselves, and above the last one
 * to which `fetch` refuses to go (10080, https://fetch.spec.whatwg.org/#port-blocking).
 */
const FIRST = 10_081;
const LAST = 32_000;

/**
 * Claims a port for this process, against others that look for one at the same time: a UDP socket of that number is held until
 * the process ends. TCP ports are numbered apart from it, so the port’s owner can listen there.
 */
async function claimed(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
      .unref()
      .once('error', () => {
        socket.close();
        resolve(false);
      })
      .bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true));
  });
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
      .once('error', () => resolve(false))
      .listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * A port nobody listens on at this moment, given to no process of the tests that still runs. With a `distance`, the same holds
 * for the port that far above it.
 */
export async function freePort(distance = 0): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST - distance));
    const ports = [...new Set([port, port + distance])];
    const claims = await Promise.all(ports.map(claimed));
    if (!claims.every(Boolean)) continue;
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return port;
  }
}
