import { createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** A larger site that has a service of ours behind a path: `${url}/livez` is that service's `/livez`. */
export interface PathProxy {
  /** Its address with the path, without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

/** Forwards requests below `prefix` to `port` on this machine, WebSockets too, without the prefix. Everything else is 404, as on such a site. */
export async function startPathProxy(port: number, prefix: string): Promise<PathProxy> {
  const sockets = new Set<Socket>();
  const below = ({ url = '' }: IncomingMessage): string | undefined =>
    url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined;

  const server = createServer((asked, answer) => {
    const path = below(asked);
    if (path === undefined) {
      answer.writeHead(404).end('no such page');
      return;
    }
    const { method, headers } = asked;
    const passedOn = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    passedOn.on('error', () => answer.destroy());
    asked.pipe(passedOn);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (asked, socket: Socket, head) => {
    const path = below(asked);
    if (path === undefined) {
      socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
      return;
    }
    const lines = asked.rawHeaders.flatMap((name, index, all) =>
      index % 2 === 0 ? [`${name}: ${all[index + 1]}`] : [],
    );
    const upstream = connect(port, '127.0.0.1', () => {
      upstream.write(`${asked.method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const each of [socket, upstream]) each.on('error', () => undefined);
    socket.once('close', () => upstream.destroy());
    upstream.once('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
