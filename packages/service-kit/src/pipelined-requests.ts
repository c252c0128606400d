import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that one connection may send without waiting for an answer. Neither browsers nor proxies send two. */
const MAX_PER_TURN = 16;

/** Node's HTTP parser of a connection has no public name; without it, the rest costs what it cost before. */
type ParsedSocket = Socket & { parser?: { pause?(): void } | null };

/**
 * Cuts connections that send many requests in one piece: Node parses all that came with one read, some 2,000 of them, and calls the server
 * for each in the same turn of the event loop. To be called once all of the server's own listeners are there.
 */
export function cutPipelinedRequests(server: Server): void {
  const listeners = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[];
  server.removeAllListeners('request');
  /** How many came on each connection in this turn. */
  let counts = new Map<Socket, number>();

  function isFlood({ socket }: IncomingMessage): boolean {
    if (counts.size === 0) {
      setImmediate(() => {
        counts = new Map();
      });
    }
    const count = (counts.get(socket) ?? 0) + 1;
    counts.set(socket, count);
    if (count <= MAX_PER_TURN) return false;
    // Else the rest of what was read is parsed all the same.
    (socket as ParsedSocket).parser?.pause?.();
    socket.destroy();
    return true;
  }

  server.on('request', (request, response) => {
    if (isFlood(request)) return;
    for (const listener of listeners) listener.call(server, request, response);
  });
}
