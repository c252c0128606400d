import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';

export async function listening(server: Server): Promise<{ port: number; close: () => Promise<unknown> }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => new Promise((resolve) => server.close(resolve)),
  };
}

/** A proxy in front of a service that passes requests on, and upgrades as plain requests. `change` may spoil the answer's headers. */
export async function startHttpProxy(
  target: string,
  change: (headers: IncomingMessage['headers']) => IncomingMessage['headers'] = (headers) => headers,
): Promise<{ url: string; close: () => Promise<unknown> }> {
  const passOn = (asked: IncomingMessage, answer: ServerResponse): void => {
    const { connection: _connection, upgrade: _upgrade, ...headers } = asked.headers;
    const onward = request(`${target}${asked.url}`, { method: asked.method, headers, agent: false }, (response) => {
      answer.writeHead(response.statusCode ?? 502, change(response.headers));
      response.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
  };
  const server = createHttpServer(passOn);
  const { port, close } = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      return close();
    },
  };
}

/** A wire on which, of each connection, the first bytes of an answer arrive and the others do not. */
export async function startBlackHole(
  target: number,
  bytes: number,
): Promise<{ url: string; close: () => Promise<unknown> }> {
  const open = new Set<{ destroy(): unknown }>();
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    let passed = 0;
    upstream.on('data', (chunk) => {
      client.write(chunk.subarray(0, Math.max(0, bytes - passed)));
      passed += chunk.length;
    });
    client.on('data', (chunk) => upstream.write(chunk));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  const { port, close } = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of open) socket.destroy();
      return close();
    },
  };
}
