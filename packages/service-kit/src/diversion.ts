import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ConnectionLimit } from './connection-limit.ts';

/** Requests of a port that something else answers than its routes: they come to no hook, and count as no request of a user. */
export interface Diversion {
  takes(request: IncomingMessage): boolean;
  /** Whether an upgrade that it takes is one, and not a request whose client wishes for another protocol each time. */
  takesUpgrade?(request: IncomingMessage): boolean;
  request(request: IncomingMessage, response: ServerResponse): void;
  /** Takes the socket over. `head`: bytes that came behind the request. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void;
}

/** The head of a request without its wish for another protocol. */
function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    const value = rawHeaders[index + 1] ?? '';
    const plain = name.toLowerCase();
    if (plain === 'upgrade') continue;
    const tokens = value.split(',').filter((token) => token.trim().toLowerCase() !== 'upgrade');
    if (plain === 'connection' && tokens.length === 0) continue;
    lines.push(`${name}: ${plain === 'connection' ? tokens.join(',') : value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/**
 * Reads upgrades that are to be ignored again, as the plain requests that they also are: a server may ignore the wish for another protocol, and
 * Node's does while nobody listens for upgrades. Java's HTTP client has it in every request.
 */
export function ignoreUpgrades(
  server: Server,
  isIgnored: (request: IncomingMessage) => boolean,
  connections: ConnectionLimit,
): void {
  const emit = server.emit.bind(server) as (event: string, ...values: unknown[]) => boolean;
  server.emit = (event: string, ...values: unknown[]) => {
    if (event !== 'upgrade') return emit(event, ...values);
    const [request, socket, head] = values as [IncomingMessage, Socket, Buffer];
    if (!isIgnored(request)) return emit(event, ...values);
    // It keeps its place among the connections: it leaves it, and enters as a new one at once.
    connections.release(socket);
    socket.unshift(Buffer.concat([withoutUpgrade(request), head]));
    return emit('connection', socket);
  };
}

/** Hands the upgrades of a bounded server to `diversion`, as far as it takes them. Any other upgrade is ignored. */
export function divertUpgrades(server: Server, diversion: Diversion, connections: ConnectionLimit): void {
  const isUpgrade = (request: IncomingMessage): boolean =>
    diversion.takes(request) && (diversion.takesUpgrade?.(request) ?? true);
  ignoreUpgrades(server, (request) => !isUpgrade(request), connections);
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    diversion.upgrade(request, socket, head),
  );
}
