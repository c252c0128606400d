import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that one connection may send without waiting for an answer. Neither browsers nor proxies send two. */
const MAX_PER_TURN = 32;

/** Node's HTTP parser of a connection has no public name; without it, the rest costs what it cost before. */
type ParsedSocket = Socket & { parser?: { pause?(): void } | null };

/**
 * Cuts connections that send many requests in one piece: Node parses all that came with one read, some 2,000 of them, and calls the server
 * for each in the same turn of the event loop. Whoever listens for requests, later too, is not called for those.
 */
export function cutPipelinedRequests(server: Server): void {
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

  const emit = server.emit.bind(server) as (event: string, ...values: unknown[]) => boolean;
  server.emit = (event: string, ...values: unknown[]) => {
    if (event === 'request' && isFlood(values[0] as IncomingMessage)) return true;
    return emit(event, ...values);
  };
}
