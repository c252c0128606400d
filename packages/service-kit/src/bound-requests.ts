import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { cutTinyPieces } from './request-pieces.ts';
import { createTurns } from './turns.ts';

/** Requests that one connection may send without waiting for an answer. Neither browsers nor proxies send two. */
const MAX_PER_TURN = 32;

/**
 * Node's HTTP parser of a connection has no public name. Its callback for each request may answer 2, which means that the rest of the bytes
 * are not HTTP. Should that go away, the rest is parsed, and the test fails.
 */
type ParsedSocket = Socket & { parser?: { onIncoming?: () => number } | null };
const NO_MORE_HTTP = 2;

/** Events emitted with the arguments of `connection`, `request` and `upgrade` as soon as one is there: the event itself may wait for its turn. */
export const CONNECTION_ARRIVED = 'connection-arrived';
export const REQUEST_ARRIVED = 'request-arrived';
export const UPGRADE_ARRIVED = 'upgrade-arrived';

/** Events of a server for a request; the last two are for requests with an `Expect`. */
const REQUESTS: ReadonlySet<string> = new Set(['request', 'checkContinue', 'checkExpectation']);

/**
 * Cuts connections that send many requests in one piece: Node parses all that came with one read, some 2,000 of them, and calls the server
 * for each in the same turn of the event loop. Bodies in tiny pieces end their connection as well. The remaining requests begin in turns.
 * Listeners for requests are not called for those that are cut. It is not a listener itself, since Engine.IO removes those of its server.
 */
export function boundRequests(server: Server): void {
  /** Requests on each connection in this turn of the event loop. */
  let counts = new Map<Socket, number>();
  const turns = createTurns(server);

  function isFlood({ socket }: IncomingMessage): boolean {
    if (counts.size === 0) {
      setImmediate(() => {
        counts = new Map();
      });
    }
    const count = (counts.get(socket) ?? 0) + 1;
    counts.set(socket, count);
    if (count <= MAX_PER_TURN) return false;
    const { parser } = socket as ParsedSocket;
    if (parser?.onIncoming) parser.onIncoming = () => NO_MORE_HTTP;
    socket.destroy();
    return true;
  }

  const emit = server.emit.bind(server) as (event: string, ...values: unknown[]) => boolean;
  server.emit = (event: string, ...values: unknown[]) => {
    if (event === 'connection') {
      const [socket] = values as [Socket];
      emit(CONNECTION_ARRIVED, socket);
      turns.connection(socket, () => void emit(event, socket));
      return true;
    }
    if (event === 'upgrade') {
      const [, socket, head] = values as [IncomingMessage, Socket, Buffer];
      emit(UPGRADE_ARRIVED, ...values);
      turns.upgrade(socket, head, () => void emit(event, ...values));
      return true;
    }
    if (!REQUESTS.has(event)) return emit(event, ...values);
    const [request, response] = values as [IncomingMessage, ServerResponse];
    if (isFlood(request)) return true;
    cutTinyPieces(request, response);
    emit(REQUEST_ARRIVED, ...values);
    turns.request(request, () => void emit(event, ...values));
    return true;
  };
  // Without a listener Node answers by itself, uncounted. This answers the same, a 417.
  server.on('checkExpectation', (_request, response) => void response.writeHead(417, { connection: 'close' }).end());
}
