import { createServer } from 'node:net';

/** The range of ports, below those that the system gives to outgoing connections, which come and go by themselves. */
const FIRST = 10_000;
const LAST = 32_000;
const given = new Set<number>();

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
      .once('error', () => resolve(false))
      .listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * A port nobody listens on at this moment, and that this process has not been given before. With a `distance`, the same holds for
 * the port that far above it.
 */
export async function freePort(distance = 0): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST - distance));
    const ports = [...new Set([port, port + distance])];
    if (ports.some((each) => given.has(each))) continue;
    for (const each of ports) given.add(each);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return port;
  }
}
